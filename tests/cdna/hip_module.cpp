/* hip_module.cpp -- code objects as modules, what a kernel needs and how many fit, and the checks
 * of a launch. */
#include "hip_state.h"

#include <algorithm>
#include <cstring>
#include <elf.h>

namespace cdna::hip
{
namespace
{

constexpr int machine_amdgpu = 224;

template <typename T> T read(const char *at)
{
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/* HIP is given no length: the file ends with its last header table, section or segment. */
size_t image_bytes(const char *image)
{
    auto head = read<Elf64_Ehdr>(image);
    size_t end = std::max(head.e_shoff + size_t(head.e_shnum) * head.e_shentsize,
                          head.e_phoff + size_t(head.e_phnum) * head.e_phentsize);
    for (size_t i = 0; i < head.e_phnum; i++) {
        auto segment = read<Elf64_Phdr>(image + head.e_phoff + i * sizeof(Elf64_Phdr));
        end = std::max<size_t>(end, segment.p_offset + segment.p_filesz);
    }
    for (size_t i = 0; i < head.e_shnum; i++) {
        auto section = read<Elf64_Shdr>(image + head.e_shoff + i * sizeof(Elf64_Shdr));
        if (section.sh_type != SHT_NOBITS)
            end = std::max<size_t>(end, section.sh_offset + section.sh_size);
    }
    return end;
}

Status check_image(const char *image, Chip chip)
{
    if (std::memcmp(image, ELFMAG, SELFMAG) != 0 || image[EI_CLASS] != ELFCLASS64)
        return hipErrorInvalidImage;
    auto head = read<Elf64_Ehdr>(image);
    if (head.e_machine != machine_amdgpu || head.e_phentsize != sizeof(Elf64_Phdr) ||
        (head.e_shnum && head.e_shentsize != sizeof(Elf64_Shdr)))
        return hipErrorInvalidImage;
    const unsigned machines[] = {0x3f, 0x4c, 0x4f}; /* EF_AMDGPU_MACH of gfx90a, gfx942, gfx950 */
    return (head.e_flags & 0xff) == machines[int(chip)] ? hipSuccess : hipErrorNoBinaryForGpu;
}

bool hidden(const Argument &argument) { return argument.kind.compare(0, 7, "hidden_") == 0; }

int lds_of(Chip chip)
{
    int bytes = 0;
    attribute_of(chip, hipDeviceAttributeMaxSharedMemoryPerBlock, &bytes);
    return bytes;
}

} // namespace

Status load_module(Face &face, Module **handle, const void *image)
{
    if (!handle || !image) return hipErrorInvalidValue;
    const char *bytes = static_cast<const char *>(image);
    Status status = check_image(bytes, face.control.chip);
    if (status) return status;
    std::string error;
    auto module = std::make_shared<Module>();
    module->code = CodeObject::load(image, image_bytes(bytes), &error);
    if (!module->code) {
        face.control.report("hipModuleLoadData: " + error);
        return hipErrorInvalidImage;
    }
    module->device = current_device();
    *handle = module.get();
    face.modules[*handle] = module;
    return hipSuccess;
}

Status unload_module(Face &face, Module *module)
{
    module->loaded = false;
    for (auto &entry : module->globals) face.heap.release(entry.second);
    for (auto at = face.functions.begin(); at != face.functions.end();)
        at = at->second->module.get() == module ? face.functions.erase(at) : std::next(at);
    face.modules.erase(module);
    return hipSuccess;
}

/* The core keeps a module's data to itself, so the host sees a copy: constants, not variables. */
Status global_of(Face &face, Module *module, const char *name, void **pointer, size_t *bytes)
{
    size_t size = 0;
    const void *data = module->code->symbol(name, &size);
    if (!data) return hipErrorNotFound;
    Block *&block = module->globals[name];
    if (!block) {
        block = face.heap.allocate(module->device, size);
        if (!block) {
            module->globals.erase(name);
            return hipErrorOutOfMemory;
        }
        std::memcpy(block->host, data, size);
    }
    if (pointer) *pointer = reinterpret_cast<void *>(block->address);
    if (bytes) *bytes = size;
    return hipSuccess;
}

/* 512 registers per lane of a SIMD, in eights; at most eight waves on each of four SIMDs. */
int occupancy(const Kernel &kernel, Chip chip, int threads, size_t dynamic_lds)
{
    int waves = (threads + 63) / 64, registers = std::max(8, int(kernel.vgprs + 7) / 8 * 8);
    int blocks = std::min(8, 512 / registers) * 4 / std::max(1, waves);
    size_t lds = kernel.lds_bytes + dynamic_lds;
    if (lds) blocks = std::min(blocks, int(std::min<size_t>(size_t(lds_of(chip)) / lds, 32)));
    return blocks;
}

Status function_attribute(const Kernel &kernel, Chip chip, int attribute, int *value)
{
    switch (attribute) {
    case HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = int(kernel.max_threads); break;
    case HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = int(kernel.lds_bytes); break;
    case HIP_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = int(kernel.scratch_bytes); break;
    case HIP_FUNC_ATTRIBUTE_NUM_REGS: *value = int(kernel.vgprs); break;
    case HIP_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = lds_of(chip) - int(kernel.lds_bytes);
        break;
    case HIP_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case HIP_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
    case HIP_FUNC_ATTRIBUTE_PTX_VERSION:
    case HIP_FUNC_ATTRIBUTE_BINARY_VERSION: *value = 90; break;
    default: return hipErrorInvalidValue;
    }
    return hipSuccess;
}

namespace
{

Status check_shape(const Launch &what, Chip chip)
{
    const Kernel &kernel = *what.kernel;
    const uint32_t *grid = what.grid, *block = what.block;
    for (int i = 0; i < 3; i++)
        if (!grid[i] || !block[i]) return hipErrorInvalidValue;
    uint64_t threads = uint64_t(block[0]) * block[1];
    if (threads > 1024 || (threads *= block[2]) > 1024) return hipErrorInvalidConfiguration;
    if (threads > kernel.max_threads) return hipErrorLaunchFailure;
    if (grid[0] > 0x7fffffff || uint64_t(grid[0]) * block[0] > 0xffffffff || grid[1] > 65536 ||
        grid[2] > 65536)
        return hipErrorInvalidConfiguration;
    if (uint64_t(kernel.lds_bytes) + what.dynamic_lds > uint64_t(lds_of(chip)))
        return hipErrorInvalidValue;
    return hipSuccess;
}

/* Arguments one by one, or laid out by the caller; HIP does not check the size of the latter. */
Status gather(Face &face, Launch &what, void **parameters, void **extra)
{
    const Kernel &kernel = *what.kernel;
    const char *packed = nullptr;
    what.kernarg.assign(kernel.kernarg_bytes, 0);
    size_t packed_bytes = 0, end = 0, count = 0;
    for (const Argument &each : kernel.arguments)
        if (!hidden(each)) {
            end = std::max<size_t>(end, each.offset + each.bytes);
            count++;
        }
    if (end > what.kernarg.size() || (parameters && extra)) return hipErrorInvalidValue;
    if (extra) {
        auto tag = [&](int i) { return int(reinterpret_cast<uintptr_t>(extra[i])); };
        if (tag(0) != HIP_LAUNCH_PARAM_BUFFER_POINTER || tag(2) != HIP_LAUNCH_PARAM_BUFFER_SIZE ||
            tag(4) != HIP_LAUNCH_PARAM_END)
            return hipErrorInvalidValue;
        packed = static_cast<const char *>(extra[1]);
        packed_bytes = *static_cast<const size_t *>(extra[3]);
        if (packed_bytes < end) {
            face.control.report("hipModuleLaunchKernel: " + kernel.name + " takes " +
                                std::to_string(end) + " bytes of arguments, not " +
                                std::to_string(packed_bytes));
            return hipErrorInvalidValue;
        }
    }
    if (count && !parameters && !packed) return hipErrorInvalidValue;
    size_t next = 0;
    for (const Argument &each : kernel.arguments) {
        if (hidden(each)) continue;
        const void *from = packed ? packed + each.offset : parameters[next];
        if (!from) return hipErrorInvalidValue;
        std::memcpy(&what.kernarg[each.offset], from, each.bytes);
        next++;
    }
    return hipSuccess;
}

} // namespace

Status launch(Face &face, Function &function, Launch what, Stream *stream, void **parameters,
              void **extra)
{
    what.code = function.module->code;
    what.kernel = function.kernel;
    if (function.module->device != stream->device) return hipErrorInvalidHandle;
    Status status = check_shape(what, face.control.chip);
    if (!status) status = gather(face, what, parameters, extra);
    if (status) return status;
    Work work;
    work.kind = Work::launch;
    work.what = std::move(what);
    work.module = function.module;
    face.control.count("launches");
    return submit(face, stream, std::move(work));
}

} // namespace cdna::hip
