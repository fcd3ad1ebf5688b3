/* hip_device.cpp -- the chips as HIP describes them, and the one state of the face. */
#include "hip_state.h"

#include <cstring>

namespace cdna::hip
{

const char *name_of(Chip chip)
{
    const char *names[] = {"gfx90a", "gfx942", "gfx950"};
    return names[int(chip)];
}

size_t memory_of(Chip chip)
{
    const size_t gib[] = {64, 192, 288};
    return gib[int(chip)] << 30;
}

Status attribute_of(Chip chip, int attribute, int *value)
{
    switch (attribute) {
#define HIP_CASE(name, number, ...)         \
    case number: {                          \
        const int values[] = {__VA_ARGS__}; \
        *value = values[int(chip)];         \
        return hipSuccess;                  \
    }
        HIP_ATTRIBUTES(HIP_CASE)
        HIP_NEWER_ATTRIBUTES(HIP_CASE)
#undef HIP_CASE
    default: return hipErrorInvalidValue;
    }
}

/* The 1472 bytes that HIP 6 and 7 fill; the fields that programs of C find by their offsets. */
void properties_of(Chip chip, char *properties)
{
    std::memset(properties, 0, 1472);
    std::strcpy(properties, "CDNA emulator");
    std::strcpy(properties + 1160, (std::string(name_of(chip)) + ":sramecc+:xnack-").c_str());
    size_t memory = memory_of(chip);
    std::memcpy(properties + 288, &memory, sizeof memory);
    const struct {
        int offset, attribute;
    } fields[] = {{296, hipDeviceAttributeMaxSharedMemoryPerBlock},
                  {308, hipDeviceAttributeWarpSize},
                  {320, hipDeviceAttributeMaxThreadsPerBlock},
                  {324, hipDeviceAttributeMaxBlockDimX},
                  {328, hipDeviceAttributeMaxBlockDimY},
                  {332, hipDeviceAttributeMaxBlockDimZ},
                  {336, hipDeviceAttributeMaxGridDimX},
                  {340, hipDeviceAttributeMaxGridDimY},
                  {344, hipDeviceAttributeMaxGridDimZ},
                  {348, hipDeviceAttributeClockRate},
                  {360, hipDeviceAttributeComputeCapabilityMajor},
                  {364, hipDeviceAttributeComputeCapabilityMinor},
                  {388, hipDeviceAttributeMultiprocessorCount}};
    for (auto &field : fields) {
        int value = 0;
        attribute_of(chip, field.attribute, &value);
        std::memcpy(properties + field.offset, &value, sizeof value);
    }
}

Face::Face() : heap(memory_of(control.chip)), queue(*this), devices(control.devices)
{
    for (int i = 0; i < control.devices; i++) {
        devices[i].null = std::make_unique<Stream>();
        devices[i].null->device = i;
        devices[i].null->null = true;
        devices[i].null->lane = queue.new_lane();
    }
}

/* The null stream, its two other names, or a stream of the program. */
Stream *Face::stream(Stream *handle)
{
    const uintptr_t legacy = 1, per_thread = 2;
    auto value = reinterpret_cast<uintptr_t>(handle);
    if (!value || value == legacy) return devices[current_device()].null.get();
    if (value == per_thread) {
        Stream *&own = thread_streams[{std::this_thread::get_id(), current_device()}];
        if (!own) create_stream(*this, &own, 0);
        return own;
    }
    return streams.count(handle) ? handle : nullptr;
}

Status Face::blame(int device, bool address, const std::string &report)
{
    control.report(report);
    Status &pending = devices[device].pending;
    if (address)
        pending = hipErrorIllegalAddress;
    else if (!pending)
        pending = hipErrorLaunchFailure;
    return pending;
}

/* Never destroyed: a program may call from its own destructors. */
Face &face()
{
    static Face *one = new Face;
    return *one;
}

int &current_device()
{
    thread_local int device = 0;
    return device;
}

int &capture_mode()
{
    thread_local int mode = hipStreamCaptureModeGlobal;
    return mode;
}

namespace
{

struct AtEnd {
    ~AtEnd()
    {
        std::lock_guard<std::mutex> hold(face().lock);
        face().control.end();
    }
} at_end;

} // namespace
} // namespace cdna::hip
