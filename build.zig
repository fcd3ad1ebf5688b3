//! zig build             the static library and its header
//! zig build header      regenerate aiter_attn.h from src/
//! zig build check       is aiter_attn.h current, do the house rules hold?
//! zig build test        all tests against aiter_attn.h
//! zig build bench       the benchmarks, installed to zig-out/bin
//! zig build examples    the examples, installed to zig-out/bin
//! zig build gpu         the GPU kernels, as files in zig-out/kernels and inside a static library
//!
//! As a dependency: linkLibrary(dependency.artifact("aiter_attn")) brings the header, too; with the
//! option .gpu = true there is also the artifact "aiter_attn_kernels".
//! A new test, benchmark or example is found by its name; nothing here lists them.
const std = @import("std");
const kernels = @import("kernels/build.zig");

const Programs = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,

    fn module(self: Programs) *std.Build.Module {
        return self.b.createModule(.{
            .target = self.target,
            .optimize = self.optimize,
            .link_libc = true,
        });
    }

    /// One C program linked with the library. What it includes as AITER_TEST_HEADER says how much it
    /// compiles itself: declarations alone, or all but the kernels if it looks inside.
    fn add(self: Programs, name: []const u8, source: []const u8, flags: []const []const u8) *std.Build.Step.Compile {
        const b = self.b;
        const mod = self.module();
        const header = if (looksInside(b, source)) "inside.h" else "linked.h";
        mod.addCMacro("AITER_TEST_HEADER", b.fmt("\"tests/header/{s}\"", .{header}));
        mod.addCMacro("AITER_TEST_LINKED", "\"aiter_attn.h\"");
        mod.addIncludePath(b.path("."));
        mod.addIncludePath(b.path("tests"));
        mod.addCSourceFile(.{ .file = b.path(source), .flags = flags });
        mod.linkLibrary(implementation(self));
        return b.addExecutable(.{ .name = name, .root_module = mod });
    }
};

const warnings = [_][]const u8{ "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic" };

pub fn build(b: *std.Build) void {
    // The baseline CPU: the library picks its instruction set when it runs.
    const target = b.standardTargetOptions(.{ .default_target = .{ .cpu_model = .baseline } });
    const Optimize = std.builtin.OptimizeMode;
    const optimize = b.option(Optimize, "optimize", "default: ReleaseFast") orelse Optimize.ReleaseFast;
    const programs: Programs = .{ .b = b, .target = target, .optimize = optimize };

    addLibrary(programs);
    addChecks(b);

    addKernels(programs);

    const test_step = b.step("test", "run the tests");
    // The library is compiled as asked; its tests only need to be ready soon.
    const test_flags = if (optimize == .Debug) &warnings else &(warnings ++ .{"-O1"});
    for (sources(b, "tests", "test_")) |name| {
        const exe = programs.add(name, b.fmt("tests/{s}.c", .{name}), test_flags);
        test_step.dependOn(&runAtRoot(b, exe).step);
    }

    const bench_step = b.step("bench", "build the benchmarks");
    for (sources(b, "bench", "")) |name| {
        const exe = programs.add(name, b.fmt("bench/{s}.c", .{name}), &warnings);
        bench_step.dependOn(&b.addInstallArtifact(exe, .{}).step);
    }

    // Those in C; the C++ one would first build libc++, which takes minutes, and CMake builds it.
    const examples_step = b.step("examples", "build the examples");
    for (sources(b, "examples", "")) |name| addExample(programs, examples_step, name);
}

/// The numbered examples take the library that is compiled already, the others are whole programs.
fn addExample(programs: Programs, step: *std.Build.Step, name: []const u8) void {
    const b = programs.b;
    const mod = programs.module();
    mod.addCSourceFile(.{ .file = b.path(b.fmt("examples/{s}.c", .{name})), .flags = &warnings });
    if (std.ascii.isDigit(name[0])) {
        mod.addCMacro("AITER_ATTN_IMPLEMENTED", "");
        mod.linkLibrary(implementation(programs));
    }
    const exe = b.addExecutable(.{ .name = name, .root_module = mod });
    step.dependOn(&b.addInstallArtifact(exe, .{}).step);
}

fn addLibrary(programs: Programs) void {
    const b = programs.b;
    const unit = b.addWriteFiles().add("aiter_attn.c",
        \\#define AITER_ATTN_IMPLEMENTATION
        \\#include "aiter_attn.h"
        \\
    );
    const mod = programs.module();
    mod.addIncludePath(b.path("."));
    mod.addCSourceFile(.{ .file = unit, .flags = &.{"-std=c99"} });
    const library = b.addLibrary(.{ .name = "aiter_attn", .root_module = mod });
    library.installHeader(b.path("aiter_attn.h"), "aiter_attn.h");
    b.installArtifact(library);
}

/// header and check: the tools always run on the machine that builds.
fn addChecks(b: *std.Build) void {
    const host: Programs = .{ .b = b, .target = b.graph.host, .optimize = .Debug };
    const amalgamate = hostTool(host, "amalgamate");
    const tidy = hostTool(host, "tidy");
    const pack = [_][]const u8{ "src", "spine.h", "aiter_attn.h" };

    const abi_hash = hostTool(host, "abi_hash");
    const renew_hash = runAtRoot(b, abi_hash);
    renew_hash.addArg("kernels");
    const header = runAtRoot(b, amalgamate);
    header.step.dependOn(&renew_hash.step);
    header.addArgs(&pack);
    b.step("header", "regenerate aiter_attn.h").dependOn(&header.step);

    const check_step = b.step("check", "is aiter_attn.h current, do the house rules hold?");
    const current = runAtRoot(b, amalgamate);
    current.addArg("--check");
    current.addArgs(&pack);
    check_step.dependOn(&current.step);
    const hash = runAtRoot(b, abi_hash);
    hash.addArgs(&.{ "--check", "kernels" });
    check_step.dependOn(&hash.step);
    const rules = runAtRoot(b, tidy);
    rules.addArg(".");
    check_step.dependOn(&rules.step);
}

/// gpu: the kernels; they are part of the default step only if the option -Dgpu says so.
fn addKernels(programs: Programs) void {
    const b = programs.b;
    const gpu = kernels.Kernels.create(b);
    const library = b.addInstallArtifact(gpu.library(programs.module()), .{});
    const step = b.step("gpu", "compile the GPU kernels");
    step.dependOn(gpu.check());
    step.dependOn(&library.step);
    step.dependOn(&b.addInstallDirectory(.{
        .source_dir = gpu.files.getDirectory(),
        .install_dir = .prefix,
        .install_subdir = "kernels",
    }).step);
    if (b.option(bool, "gpu", "also build the library aiter_attn_kernels") orelse false)
        b.getInstallStep().dependOn(&library.step);
}

fn hostTool(host: Programs, name: []const u8) *std.Build.Step.Compile {
    const mod = host.module();
    mod.addCSourceFile(.{ .file = host.b.path(host.b.fmt("tools/{s}.c", .{name})), .flags = &.{"-std=c99"} });
    return host.b.addExecutable(.{ .name = name, .root_module = mod });
}

fn runAtRoot(b: *std.Build, exe: *std.Build.Step.Compile) *std.Build.Step.Run {
    const run = b.addRunArtifact(exe);
    run.setCwd(b.path("."));
    run.has_side_effects = true;
    return run;
}

var implementation_made: ?*std.Build.Step.Compile = null;

/// The library with kernel sets for inside.h, compiled once.
fn implementation(programs: Programs) *std.Build.Step.Compile {
    const b = programs.b;
    if (implementation_made == null) {
        const mod = programs.module();
        mod.addIncludePath(b.path("."));
        mod.addCSourceFile(.{ .file = b.path("tests/header/linked.c"), .flags = &.{"-std=c99"} });
        mod.addCMacro("AITER_TEST_LINKED", "\"aiter_attn.h\"");
        implementation_made = b.addLibrary(.{ .name = "implementation", .root_module = mod });
    }
    return implementation_made.?;
}

/// Whether a program names anything internal or has devices compiled in.
fn looksInside(b: *std.Build, source: []const u8) bool {
    const io = b.graph.io;
    const root = if (@hasField(std.Build, "root")) b.root.root_dir.handle else b.build_root.handle; // 0.17, 0.16
    const text = root.readFileAlloc(io, source, b.allocator, .limited(1 << 20)) catch @panic("cannot read a program");
    for ([_][]const u8{ "aiteri_", "AITERI_", "AITER_ATTN_HIP" }) |word|
        if (std.mem.indexOf(u8, text, word) != null) return true;
    return false;
}

/// The names, without ".c", of the C files in `folder` that start with `prefix`, in order.
fn sources(b: *std.Build, folder: []const u8, prefix: []const u8) []const []const u8 {
    const io = b.graph.io;
    // From 0.17 on build.zig itself is cached: say that it depends on what is in the folder.
    if (@hasDecl(std.Build, "dependOnDirectoryContents")) b.dependOnDirectoryContents(b.path(folder));
    var names: std.ArrayList([]const u8) = .empty;
    const root = if (@hasField(std.Build, "root")) b.root else b.build_root.handle; // 0.17, 0.16
    var dir = root.openDir(io, folder, .{ .iterate = true }) catch return &.{};
    defer dir.close(io);
    var it = dir.iterate();
    while (it.next(io) catch @panic("cannot list the folder")) |entry| {
        if (!std.mem.startsWith(u8, entry.name, prefix) or !std.mem.endsWith(u8, entry.name, ".c")) continue;
        names.append(b.allocator, b.dupe(entry.name[0 .. entry.name.len - 2])) catch @panic("out of memory");
    }
    std.mem.sort([]const u8, names.items, {}, struct {
        fn before(_: void, x: []const u8, y: []const u8) bool {
            return std.mem.order(u8, x, y) == .lt;
        }
    }.before);
    return names.items;
}
