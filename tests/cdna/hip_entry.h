/* hip_entry.h -- the frame of an entry point: its declaration, the lock, the counter, the failure
 * that a test planned, and the check of its handle. */
#ifndef CDNA_HIP_ENTRY_H
#define CDNA_HIP_ENTRY_H

#include "hip_calls.h"
#include "hip_state.h"

#include <new>

namespace cdna::hip
{

int &last_error(); /* of this thread */

/* Every call: one at a time, counted, failing when a test wants it to. */
template <typename Body> int call(const char *name, Body body)
{
    Face &all = face();
    std::lock_guard<std::mutex> hold(all.lock);
    Status status = all.control.enter(name);
    if (!status && all.devices.empty()) status = hipErrorNoDevice;
    try {
        if (!status) status = body(all);
    } catch (const std::bad_alloc &) {
        status = hipErrorOutOfMemory;
    }
    if (status && status != hipErrorNotReady) last_error() = status;
    return status;
}

/* The same for a call that works on a stream. */
template <typename Body> int on_stream(const char *name, Stream *handle, Body body)
{
    return call(name, [&](Face &all) {
        Stream *stream = all.stream(handle);
        return stream ? body(all, stream) : hipErrorContextIsDestroyed;
    });
}

template <typename Body> int on_event(const char *name, Event *event, Body body)
{
    return call(name, [&](Face &all) {
        return all.events.count(event) ? body(all) : hipErrorInvalidHandle;
    });
}

template <typename T> Status set(T *to, T value)
{
    if (!to) return hipErrorInvalidValue;
    *to = value;
    return hipSuccess;
}

} // namespace cdna::hip

using cdna::hip::Event;
using cdna::hip::Function;
using cdna::hip::Graph;
using cdna::hip::GraphExec;
using cdna::hip::Module;
using cdna::hip::Stream;

#pragma GCC visibility push(default)
extern "C" {
#define HIP_DECLARE(name, parameters) int name parameters;
HIP_CALLS(HIP_DECLARE)
HIP_NEWER_CALLS(HIP_DECLARE)
const char *hipGetErrorName(int status);
const char *hipGetErrorString(int status);
}
#pragma GCC visibility pop

#endif /* CDNA_HIP_ENTRY_H */
