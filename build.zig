//! zig build             the static library and its header
//! zig build header      regenerate aiter_attn.h from src/
//! zig build check       is aiter_attn.h current, do the house rules hold?
//! zig build test        all tests, each against src/ and against aiter_attn.h
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

    /// One C program over the header at `header`.
    fn add(self: Programs, name: []const u8, source: []const u8, header: []const u8) *std.Build.Step.Compile {
        const b = self.b;
        const mod = self.module();
        mod.addCMacro("AITER_TEST_HEADER", b.fmt("\"{s}\"", .{header}));
        mod.addIncludePath(b.path("."));
        mod.addIncludePath(b.path("tests"));
        mod.addCSourceFile(.{ .file = b.path(source), .flags = &.{ "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic" } });
        return b.addExecutable(.{ .name = name, .root_module = mod });
    }
};

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
    for (sources(b, "tests", "test_")) |name| addTest(programs, test_step, name, "", "aiter_attn.h");
    for (sources(b, "tests", "test_")) |name|
        if (!isExampleTest(name)) addTest(programs, test_step, name, "_src", "src/spine.h");

    const bench_step = b.step("bench", "build the benchmarks");
    addInstalled(programs, bench_step, "bench", "");

    // Those in C; the C++ one would first build libc++, which takes minutes, and CMake builds it.
    const examples_step = b.step("examples", "build the examples");
    addInstalled(programs, examples_step, "examples", "");
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

/// One test against `header`. It is told so by AITER_TEST_LINKED and includes tests/header/linked.h if
/// it looks at the public face alone: then it shares the implementation compiled for that header.
fn addTest(programs: Programs, step: *std.Build.Step, name: []const u8, suffix: []const u8, header: []const u8) void {
    const b = programs.b;
    const source = b.fmt("tests/{s}.c", .{name});
    const inside = isExampleTest(name) or looksInside(b, source);
    const exe = programs.add(b.fmt("{s}{s}", .{ name, suffix }), source, if (inside) header else "tests/header/linked.h");
    if (!inside) {
        addLinkedHeader(exe.root_module, header);
        exe.root_module.linkLibrary(implementation(programs, header));
    }
    step.dependOn(&runAtRoot(b, exe).step);
}

fn addLinkedHeader(mod: *std.Build.Module, header: []const u8) void {
    mod.addCMacro("AITER_TEST_LINKED", mod.owner.fmt("\"{s}\"", .{header}));
}

var implementations: [2]?*std.Build.Step.Compile = .{ null, null };

/// The library compiled from src/ or from the packed header, made once.
fn implementation(programs: Programs, header: []const u8) *std.Build.Step.Compile {
    const b = programs.b;
    const slot = &implementations[@intFromBool(std.mem.startsWith(u8, header, "src/"))];
    if (slot.* == null) {
        const mod = programs.module();
        mod.addIncludePath(b.path("."));
        mod.addCSourceFile(.{ .file = b.path("tests/header/linked.c"), .flags = &.{"-std=c99"} });
        addLinkedHeader(mod, header);
        slot.* = b.addLibrary(.{ .name = "implementation", .root_module = mod });
    }
    return slot.*.?;
}

/// Whether a test names anything internal.
fn looksInside(b: *std.Build, source: []const u8) bool {
    const io = b.graph.io;
    const root = if (@hasField(std.Build, "root")) b.root.root_dir.handle else b.build_root.handle; // 0.17, 0.16
    const text = root.readFileAlloc(io, source, b.allocator, .limited(1 << 20)) catch @panic("cannot read a test");
    return std.mem.indexOf(u8, text, "aiteri_") != null or std.mem.indexOf(u8, text, "AITERI_") != null;
}

/// Every program of a folder with such a name.
fn addInstalled(programs: Programs, step: *std.Build.Step, folder: []const u8, prefix: []const u8) void {
    const b = programs.b;
    for (sources(b, folder, prefix)) |name| {
        const exe = programs.add(name, b.fmt("{s}/{s}.c", .{ folder, name }), "aiter_attn.h");
        step.dependOn(&b.addInstallArtifact(exe, .{}).step);
    }
}

/// The tests of the example's parts include only files of examples/, so once is enough.
fn isExampleTest(name: []const u8) bool {
    for ([_][]const u8{ "test_gguf", "test_weights", "test_tokenizer" }) |part|
        if (std.mem.eql(u8, name, part)) return true;
    return std.mem.startsWith(u8, name, "test_decode_");
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
