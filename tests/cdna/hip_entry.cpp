/* hip_entry.cpp -- the entry points of HIP for devices, memory, modules and errors: each resolves
 * its handles, checks what HIP checks, and leaves the work to the other files. */
#include "hip_entry.h"

#include <cstring>

using namespace cdna;
using namespace cdna::hip;

namespace
{

bool is_device(const Face &all, int device)
{
    return device >= 0 && size_t(device) < all.devices.size();
}

} // namespace

/* ---- devices ---- */

int hipInit(unsigned flags)
{
    int status = call("hipInit", [&](Face &) { return flags ? hipErrorInvalidValue : hipSuccess; });
    return status == hipErrorNoDevice && face().devices.empty() ? hipErrorInvalidDevice : status;
}

int hipDriverGetVersion(int *version)
{
    return call("hipDriverGetVersion", [&](Face &) { return set(version, 60400000); });
}

int hipRuntimeGetVersion(int *version)
{
    return call("hipRuntimeGetVersion", [&](Face &) { return set(version, 60400000); });
}

int hipGetDeviceCount(int *count)
{
    if (count && face().devices.empty()) *count = 0;
    return call("hipGetDeviceCount",
                [&](Face &all) { return set(count, int(all.devices.size())); });
}

int hipSetDevice(int device)
{
    return call("hipSetDevice", [&](Face &all) {
        if (!is_device(all, device)) return hipErrorInvalidDevice;
        current_device() = device;
        return hipSuccess;
    });
}

int hipGetDevice(int *device)
{
    return call("hipGetDevice", [&](Face &) { return set(device, current_device()); });
}

int hipDeviceGet(int *device, int ordinal)
{
    return call("hipDeviceGet", [&](Face &all) {
        return is_device(all, ordinal) ? set(device, ordinal) : hipErrorInvalidDevice;
    });
}

int hipDeviceGetAttribute(int *value, int attribute, int device)
{
    return call("hipDeviceGetAttribute", [&](Face &all) {
        if (!value) return hipErrorInvalidValue;
        if (!is_device(all, device)) return hipErrorInvalidDevice;
        return attribute_of(all.control.chip, attribute, value);
    });
}

int hipDeviceGetName(char *name, int bytes, int device)
{
    return call("hipDeviceGetName", [&](Face &all) {
        if (!is_device(all, device)) return hipErrorInvalidDevice;
        if (!name || bytes <= 0) return hipErrorInvalidValue;
        std::string text = std::string("CDNA emulator ") + name_of(all.control.chip);
        std::strncpy(name, text.c_str(), size_t(bytes));
        name[bytes - 1] = 0;
        return hipSuccess;
    });
}

int hipDeviceTotalMem(size_t *bytes, int device)
{
    return call("hipDeviceTotalMem", [&](Face &all) {
        if (!is_device(all, device)) return hipErrorInvalidDevice;
        return set(bytes, memory_of(all.control.chip));
    });
}

int hipMemGetInfo(size_t *unused, size_t *total)
{
    return call("hipMemGetInfo", [&](Face &all) {
        size_t bytes = memory_of(all.control.chip);
        Status status = set(unused, bytes - all.heap.used(current_device()));
        return status ? status : set(total, bytes);
    });
}

int hipGetDevicePropertiesR0600(void *properties, int device)
{
    return call("hipGetDevicePropertiesR0600", [&](Face &all) {
        if (!is_device(all, device)) return hipErrorInvalidDevice;
        if (!properties) return hipErrorInvalidValue;
        properties_of(all.control.chip, static_cast<char *>(properties));
        return hipSuccess;
    });
}

/* ---- memory ---- */

namespace
{

Status allocate(Face &all, void **pointer, size_t bytes, int device, bool mapped)
{
    if (!pointer) return hipErrorInvalidValue;
    *pointer = nullptr;
    if (Status status = unsafe(all)) return status;
    if (bytes == 0) return hipSuccess;
    Block *block = all.heap.allocate(device, bytes, mapped);
    if (!block) return hipErrorOutOfMemory;
    all.control.count("allocations");
    *pointer = reinterpret_cast<void *>(block->address);
    return hipSuccess;
}

/* It returns at once: work that still uses the memory will hear that it is gone. */
Status release(Face &all, void *pointer, bool host)
{
    if (Status status = unsafe(all)) return status;
    if (!pointer) return hipSuccess;
    uint64_t address = reinterpret_cast<uint64_t>(pointer);
    Block *block = all.heap.find(address);
    if (!block || block->address != address || !block->live || (block->device == pinned) != host)
        return hipErrorInvalidValue;
    all.control.count("allocations");
    all.control.count("synchronisations");
    all.heap.release(block);
    return hipSuccess;
}

} // namespace

int hipMalloc(void **pointer, size_t bytes)
{
    return call("hipMalloc",
                [&](Face &all) { return allocate(all, pointer, bytes, current_device(), false); });
}

int hipFree(void *pointer)
{
    return call("hipFree", [&](Face &all) { return release(all, pointer, false); });
}

int hipHostMalloc(void **pointer, size_t bytes, unsigned flags)
{
    return call("hipHostMalloc", [&](Face &all) {
        return allocate(all, pointer, bytes, pinned, flags & hipHostMallocMapped);
    });
}

int hipHostFree(void *pointer)
{
    return call("hipHostFree", [&](Face &all) { return release(all, pointer, true); });
}

int hipMemcpy(void *to, const void *from, size_t bytes, int kind)
{
    return on_stream("hipMemcpy", nullptr, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, kind, stream, true);
    });
}

int hipMemcpyHtoD(void *to, void *from, size_t bytes)
{
    return on_stream("hipMemcpyHtoD", nullptr, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, hipMemcpyHostToDevice, stream, true);
    });
}

int hipMemcpyDtoH(void *to, void *from, size_t bytes)
{
    return on_stream("hipMemcpyDtoH", nullptr, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, hipMemcpyDeviceToHost, stream, true);
    });
}

int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, Stream *handle)
{
    return on_stream("hipMemcpyAsync", handle, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, kind, stream, false);
    });
}

int hipMemcpyHtoDAsync(void *to, void *from, size_t bytes, Stream *handle)
{
    return on_stream("hipMemcpyHtoDAsync", handle, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, hipMemcpyHostToDevice, stream, false);
    });
}

int hipMemcpyDtoHAsync(void *to, void *from, size_t bytes, Stream *handle)
{
    return on_stream("hipMemcpyDtoHAsync", handle, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, hipMemcpyDeviceToHost, stream, false);
    });
}

int hipMemcpyDtoDAsync(void *to, void *from, size_t bytes, Stream *handle)
{
    return on_stream("hipMemcpyDtoDAsync", handle, [&](Face &all, Stream *stream) {
        return copy(all, to, from, bytes, hipMemcpyDeviceToDevice, stream, false);
    });
}

int hipMemset(void *to, int value, size_t bytes)
{
    return on_stream("hipMemset", nullptr, [&](Face &all, Stream *stream) {
        return fill(all, to, uint32_t(value), 1, bytes, stream);
    });
}

int hipMemsetAsync(void *to, int value, size_t bytes, Stream *handle)
{
    return on_stream("hipMemsetAsync", handle, [&](Face &all, Stream *stream) {
        return fill(all, to, uint32_t(value), 1, bytes, stream);
    });
}

int hipMemsetD32Async(void *to, int value, size_t count, Stream *handle)
{
    return on_stream("hipMemsetD32Async", handle, [&](Face &all, Stream *stream) {
        if (count > SIZE_MAX / 4) return hipErrorInvalidValue;
        return fill(all, to, uint32_t(value), 4, count * 4, stream);
    });
}

/* ---- modules ---- */

int hipModuleLoadData(Module **module, const void *image)
{
    return call("hipModuleLoadData", [&](Face &all) {
        Status status = unsafe(all);
        return status ? status : load_module(all, module, image);
    });
}

int hipModuleUnload(Module *module)
{
    return call("hipModuleUnload", [&](Face &all) {
        if (!all.modules.count(module)) return hipErrorInvalidHandle;
        Status status = unsafe(all);
        return status ? status : unload_module(all, module);
    });
}

int hipModuleGetFunction(Function **function, Module *module, const char *name)
{
    return call("hipModuleGetFunction", [&](Face &all) {
        if (!function || !name) return hipErrorInvalidValue;
        *function = nullptr;
        if (!all.modules.count(module)) return hipErrorInvalidHandle;
        const Kernel *kernel = module->code->find(name);
        if (!kernel) return hipErrorNotFound;
        auto made = std::make_unique<Function>();
        made->module = all.modules[module];
        made->kernel = kernel;
        *function = made.get();
        all.functions[*function] = std::move(made);
        return hipSuccess;
    });
}

int hipModuleGetGlobal(void **pointer, size_t *bytes, Module *module, const char *name)
{
    return call("hipModuleGetGlobal", [&](Face &all) {
        if (!name) return hipErrorInvalidValue;
        if (!all.modules.count(module)) return hipErrorInvalidHandle;
        return global_of(all, module, name, pointer, bytes);
    });
}

int hipFuncGetAttribute(int *value, int attribute, Function *function)
{
    return call("hipFuncGetAttribute", [&](Face &all) {
        if (!value) return hipErrorInvalidValue;
        if (!all.functions.count(function)) return hipErrorInvalidDeviceFunction;
        return function_attribute(*function->kernel, all.control.chip, attribute, value);
    });
}

int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function *function,
                                                       int block_size, size_t dynamic_lds)
{
    return call("hipModuleOccupancyMaxActiveBlocksPerMultiprocessor", [&](Face &all) {
        if (!all.functions.count(function)) return hipErrorInvalidDeviceFunction;
        if (block_size <= 0) return hipErrorInvalidValue;
        return set(blocks, occupancy(*function->kernel, all.control.chip, block_size, dynamic_lds));
    });
}

int hipModuleLaunchKernel(Function *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned dynamic_lds, Stream *handle, void **parameters, void **extra)
{
    return on_stream("hipModuleLaunchKernel", handle, [&](Face &all, Stream *stream) {
        if (!all.functions.count(function)) return hipErrorInvalidDeviceFunction;
        Launch what{nullptr,     nullptr, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z},
                    dynamic_lds, {}};
        return launch(all, *function, std::move(what), stream, parameters, extra);
    });
}

/* ---- errors ---- */

int &cdna::hip::last_error()
{
    thread_local int status = hipSuccess;
    return status;
}

int hipGetLastError(void)
{
    Status status = Status(last_error());
    int planned = call("hipGetLastError", [](Face &) { return hipSuccess; });
    last_error() = hipSuccess;
    return planned ? planned : status;
}

int hipPeekAtLastError(void)
{
    Status status = Status(last_error());
    return call("hipPeekAtLastError", [&](Face &) { return status; });
}

const char *hipGetErrorName(int status)
{
    switch (status) {
#define HIP_CASE(name, number, text) \
    case number: return #name;
        HIP_STATUSES(HIP_CASE)
#undef HIP_CASE
    default: return "hipErrorUnknown";
    }
}

const char *hipGetErrorString(int status)
{
    switch (status) {
#define HIP_CASE(name, number, text) \
    case number: return text;
        HIP_STATUSES(HIP_CASE)
#undef HIP_CASE
    default: return "unknown error";
    }
}
