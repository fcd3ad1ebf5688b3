//! A Zig project that takes the library as a package: `zig build run`.
const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const library = b.dependency("aiter_attn", .{ .target = target, .optimize = optimize }).artifact("aiter_attn");

    const module = b.createModule(.{ .target = target, .optimize = optimize, .link_libc = true });
    module.addCSourceFile(.{ .file = b.path("main.c") });
    module.linkLibrary(library);
    const exe = b.addExecutable(.{ .name = "main", .root_module = module });
    b.step("run", "build it and run it").dependOn(&b.addRunArtifact(exe).step);
}
