//! The GPU kernels, by the compiler that runs the build: kernels/<op>.hip -> aiter_<chip>.co for AMD
//! chips, aiter_<op>_<q>_<kv>_<dq>_<dv>.ptx for NVIDIA, and the library aiter_attn_kernels that
//! carries them inside. cmake/kernels.cmake does the same with CMake.
const std = @import("std");
const LazyPath = std.Build.LazyPath;

/// Rows of instances.def that are compiled together: kernels/<op>.hip for one chip.
const Unit = struct { op: []const u8, name: []const u8, rows: []const u8 };

const all_chips = "gfx90a,gfx942,gfx950,sm_80,sm_90a";

pub const Kernels = struct {
    b: *std.Build,
    chips: []const u8,
    kernel_files: *std.Build.Step.Compile,
    files: *std.Build.Step.WriteFile,
    embed_list: std.ArrayList(u8) = .empty,

    /// Describes the commands; nothing is compiled before a step asks for it.
    pub fn create(b: *std.Build) *Kernels {
        const self = b.allocator.create(Kernels) catch @panic("out of memory");
        const kernel_files = hostTool(b, "kernel_files");
        // abi_hash.h follows args.h and instances.def; CI fails if the one that is committed does not.
        const renew = b.addRunArtifact(hostTool(b, "abi_hash"));
        renew.setCwd(b.path("."));
        renew.addArg("kernels");
        renew.has_side_effects = true;
        kernel_files.step.dependOn(&renew.step);
        const chips = b.option([]const u8, "gpu-chips", "default: " ++ all_chips) orelse all_chips;
        self.* = .{ .b = b, .chips = chips, .kernel_files = kernel_files, .files = b.addWriteFiles() };
        var it = std.mem.tokenizeScalar(u8, chips, ',');
        while (it.next()) |chip| if (isAmd(chip)) self.addCodeObject(chip) else self.addModules(chip);
        _ = self.files.add("embed_list.h", self.embed_list.items);
        return self;
    }

    /// Every row of instances.def is in its file; prints sizes.
    pub fn check(self: *Kernels) *std.Build.Step {
        const run = self.b.addRunArtifact(self.kernel_files);
        run.addArg("check");
        run.addDirectoryArg(self.files.getDirectory());
        var it = std.mem.tokenizeScalar(u8, self.chips, ',');
        while (it.next()) |chip| run.addArg(chip);
        run.has_side_effects = true;
        return &run.step;
    }

    /// The files as data, with the table that kernels/embed.c describes.
    pub fn library(self: *Kernels, mod: *std.Build.Module) *std.Build.Step.Compile {
        mod.addIncludePath(self.files.getDirectory());
        mod.addCSourceFile(.{ .file = self.b.path("kernels/embed.c"), .flags = &.{"-std=gnu11"} });
        return self.b.addLibrary(.{ .name = "aiter_attn_kernels", .root_module = mod });
    }

    fn addFile(self: *Kernels, name: []const u8, symbol: []const u8, file: LazyPath) void {
        const b = self.b;
        _ = self.files.addCopyFile(file, name);
        const line = b.fmt("EMBED(aiteri_embedded_{s}, \"{s}\")\n", .{ symbol, name });
        self.embed_list.appendSlice(b.allocator, line) catch @panic("out of memory");
    }

    fn addCodeObject(self: *Kernels, chip: []const u8) void {
        const b = self.b;
        const link = b.addSystemCommand(&.{ b.graph.zig_exe, "ld.lld", "-shared", "-o" });
        link.setName(b.fmt("link aiter_{s}.co", .{chip}));
        const file = link.addOutputFileArg(b.fmt("aiter_{s}.co", .{chip}));
        link.addFileArg(self.object(chip, .{ .op = "abi_hash", .name = "abi_hash", .rows = "" }));
        for (unitsOf(b, chip)) |unit| link.addFileArg(self.object(chip, unit));
        self.addFile(b.fmt("aiter_{s}.co", .{chip}), b.fmt("aiter_{s}", .{chip}), file);
    }

    fn object(self: *Kernels, chip: []const u8, unit: Unit) LazyPath {
        const b = self.b;
        const assemble = b.addSystemCommand(&.{ b.graph.zig_exe, "clang", "--target=amdgcn-amd-amdhsa" });
        assemble.setName(b.fmt("assemble {s} for {s}", .{ unit.name, chip }));
        assemble.addArgs(&.{ b.fmt("-mcpu={s}", .{chip}), "-c" });
        assemble.addFileArg(self.assembly(chip, unit));
        assemble.addArg("-o");
        return assemble.addOutputFileArg(b.fmt("{s}.{s}.o", .{ unit.name, chip }));
    }

    fn addModules(self: *Kernels, chip: []const u8) void {
        const b = self.b;
        for (unitsOf(b, chip)) |unit| {
            const name = if (forLater(chip)) b.fmt("aiter_{s}", .{unit.name}) else b.fmt("aiter_{s}_{s}", .{ unit.name, chip });
            const stamp = b.addRunArtifact(self.kernel_files);
            stamp.addArg("stamp");
            stamp.addFileArg(self.assembly(chip, unit));
            self.addFile(b.fmt("{s}.ptx", .{name}), name, stamp.addOutputFileArg(b.fmt("{s}.ptx", .{name})));
        }
    }

    fn assembly(self: *Kernels, chip: []const u8, unit: Unit) LazyPath {
        const b = self.b;
        const compile = b.addSystemCommand(&.{ b.graph.zig_exe, "clang" });
        compile.setName(b.fmt("compile {s} for {s}", .{ unit.name, chip }));
        // Without a cuid the name of a symbol depends on paths.
        compile.addArgs(if (isAmd(chip)) &.{
            "-x",                      "hip",                            b.fmt("--offload-arch={s}", .{chip}),
            "--offload-device-only",   "-nogpuinc",                      "-nogpulib",
            "-mcode-object-version=5", b.fmt("-cuid={s}", .{unit.name}),
        } else &.{
            "-x",                       "cuda",                                                                   b.fmt("--cuda-gpu-arch={s}", .{chip}),
            "--cuda-device-only",       "-nocudainc",                                                             "-nocudalib",
            "--cuda-path=/nonexistent",
            // What the chip needs, no later: the driver must know it.
            if (forLater(chip)) "--cuda-feature=+ptx70" else "--cuda-feature=+ptx80",
        });
        compile.addArgs(&.{ "-std=c++17", "-O3", "-Wall", "-Wextra", "-Werror", "-I" });
        compile.addDirectoryArg(b.path("kernels"));
        compile.addArg(b.fmt("-DAITERI_ROWS(ROW)={s}", .{unit.rows}));
        compile.addArgs(&.{ "-Xclang", "-MT", "-Xclang", "kernel", "-Xclang", "-dependency-file", "-Xclang" });
        _ = compile.addDepFileOutputArg(b.fmt("{s}.{s}.d", .{ unit.name, chip }));
        compile.addArg("-S");
        compile.addFileArg(b.path(b.fmt("kernels/{s}.hip", .{unit.op})));
        compile.addArg("-o");
        if (unit.rows.len == 0) compile.step.dependOn(&self.kernel_files.step); // abi_hash.h
        return compile.addOutputFileArg(b.fmt("{s}.{s}.s", .{ unit.name, chip }));
    }
};

fn isAmd(chip: []const u8) bool {
    return std.mem.startsWith(u8, chip, "gfx");
}

/// PTX that runs on later chips, too.
fn forLater(chip: []const u8) bool {
    return std.mem.eql(u8, chip, "sm_80");
}

/// CDNA is all AMD chips; any other name of a row is a chip's own, in capitals, without `_`.
fn runsOn(arch: []const u8, chip: []const u8) bool {
    if (std.mem.eql(u8, arch, "CDNA")) return isAmd(chip);
    var i: usize = 0;
    for (chip) |c| {
        if (c == '_') continue;
        if (i == arch.len or arch[i] != std.ascii.toUpper(c)) return false;
        i += 1;
    }
    return i == arch.len;
}

fn unitsOf(b: *std.Build, chip: []const u8) []const Unit {
    if (@hasDecl(std.Build, "dependOnFileContents")) b.dependOnFileContents(b.path("kernels/instances.def"));
    const root = if (@hasField(std.Build, "root")) b.root.root_dir.handle else b.build_root.handle; // 0.17, 0.16
    const text = root.readFileAlloc(b.graph.io, "kernels/instances.def", b.allocator, .limited(1 << 20)) catch
        @panic("cannot read kernels/instances.def");
    var units: std.ArrayList(Unit) = .empty;
    var lines = std.mem.tokenizeScalar(u8, text, '\n');
    while (lines.next()) |line| {
        const row = std.mem.trim(u8, line, " \\\r");
        if (!std.mem.startsWith(u8, row, "ROW(")) continue;
        var fields: [8][]const u8 = undefined; // op, arch, q, kv, out, dq, dv
        var it = std.mem.tokenizeAny(u8, row["ROW(".len..], ", )");
        for (&fields) |*field| field.* = it.next() orelse @panic("a row of instances.def is too short");
        if (runsOn(fields[1], chip)) addRow(b, &units, row, fields);
    }
    return units.items;
}

fn addRow(b: *std.Build, units: *std.ArrayList(Unit), row: []const u8, fields: [8][]const u8) void {
    const name = b.fmt("{s}_{s}_{s}_{s}_{s}", .{ fields[0], fields[2], fields[3], fields[5], fields[6] });
    for (units.items) |*unit| if (std.mem.eql(u8, unit.name, name)) {
        unit.rows = b.fmt("{s} {s}", .{ unit.rows, row });
        return;
    };
    units.append(b.allocator, .{ .op = fields[0], .name = name, .rows = b.dupe(row) }) catch @panic("out of memory");
}

fn hostTool(b: *std.Build, name: []const u8) *std.Build.Step.Compile {
    const mod = b.createModule(.{ .target = b.graph.host, .optimize = .Debug, .link_libc = true });
    mod.addCSourceFile(.{ .file = b.path(b.fmt("tools/{s}.c", .{name})), .flags = &.{"-std=c99"} });
    return b.addExecutable(.{ .name = name, .root_module = mod });
}
