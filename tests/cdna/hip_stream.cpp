/* hip_stream.cpp -- streams and events, and the copies and fills that are queued on them. */
#include "hip_state.h"

#include <algorithm>

namespace cdna::hip
{

/* A blocking stream and the null stream of its device wait for each other; a non-blocking one only
 * follows itself. */
std::vector<uint64_t> fence(Face &face, const Stream &stream)
{
    Device &device = face.devices[stream.device];
    std::vector<uint64_t> ids{stream.last};
    if (stream.null) {
        for (Stream *other : device.streams)
            if (other->blocking) ids.push_back(other->last);
        for (const Orphan &orphan : device.orphans)
            if (orphan.blocking) ids.push_back(orphan.last);
    } else if (stream.blocking) {
        ids.push_back(device.null->last);
    }
    return ids;
}

std::vector<uint64_t> all_of(Face &face, int index)
{
    Device &device = face.devices[index];
    std::vector<uint64_t> ids{device.null->last};
    for (Stream *stream : device.streams) ids.push_back(stream->last);
    for (const Orphan &orphan : device.orphans) ids.push_back(orphan.last);
    return ids;
}

Status submit(Face &face, Stream *stream, Work work)
{
    work.device = stream->device;
    if (stream->capture) return add_node(*stream->capture, *stream, std::move(work));
    if (stream->null) {
        Status status = spoil(face, stream->device, hipErrorStreamCaptureImplicit);
        if (status) return status;
    }
    stream->last = face.queue.push(std::move(work), fence(face, *stream), stream->lane);
    return hipSuccess;
}

Status wait_for(Face &face, int device, const std::vector<uint64_t> &ids)
{
    face.control.count("synchronisations");
    face.queue.finish(ids);
    return take_pending(face, device);
}

/* What went wrong on the device since the last call that waited. */
Status take_pending(Face &face, int device)
{
    Status status = face.devices[device].pending;
    face.devices[device].pending = hipSuccess;
    return status;
}

Status create_stream(Face &face, Stream **handle, unsigned flags)
{
    if (!handle || flags & ~unsigned(hipStreamNonBlocking)) return hipErrorInvalidValue;
    auto stream = std::make_unique<Stream>();
    stream->device = current_device();
    stream->blocking = !(flags & hipStreamNonBlocking);
    stream->lane = face.queue.new_lane();
    *handle = stream.get();
    face.devices[stream->device].streams.insert(stream.get());
    face.streams[*handle] = std::move(stream);
    return hipSuccess;
}

/* Its work goes on; whoever waits for the device waits for that too. */
void destroy_stream(Face &face, Stream *stream)
{
    Device &device = face.devices[stream->device];
    auto &orphans = device.orphans;
    orphans.erase(std::remove_if(orphans.begin(), orphans.end(),
                                 [&](const Orphan &each) { return face.queue.known(each.last); }),
                  orphans.end());
    orphans.push_back({stream->last, stream->blocking});
    device.streams.erase(stream);
    if (stream->capture && stream->capture->origin == stream) drop_capture(face, stream->capture);
    if (stream->capture) stream->capture->valid = false;
    face.streams.erase(stream);
}

Status create_event(Face &face, Event **handle, unsigned flags)
{
    if (!handle || flags & ~unsigned(hipEventBlockingSync | hipEventDisableTiming))
        return hipErrorInvalidValue;
    auto event = std::make_unique<Event>();
    event->device = current_device();
    event->flags = flags;
    *handle = event.get();
    face.events[*handle] = std::move(event);
    return hipSuccess;
}

Status record_event(Face &face, Event &event, Stream &stream)
{
    if (stream.capture) {
        if (!stream.capture->valid) return hipErrorStreamCaptureInvalidated;
        event.capture = stream.capture;
        event.tips = stream.tips;
        return hipSuccess;
    }
    if (event.device != stream.device) return hipErrorInvalidHandle;
    Work work;
    work.moment = std::make_shared<Moment>();
    auto moment = work.moment;
    Status status = submit(face, &stream, std::move(work));
    if (status) return status;
    event.capture.reset();
    event.moment = moment;
    event.operation = stream.last;
    return hipSuccess;
}

/* In a capture the event carries the waiting stream into it. */
Status wait_event(Face &face, Stream &stream, Event &event)
{
    if (event.capture && face.captures.count(event.capture)) {
        if (stream.null) return spoil(face, stream.device, hipErrorStreamCaptureImplicit);
        if (!event.capture->valid) return hipErrorStreamCaptureInvalidated;
        if (stream.capture && stream.capture != event.capture) return hipErrorStreamCaptureMerge;
        if (!stream.capture) stream.tips.clear();
        stream.capture = event.capture;
        for (size_t tip : event.tips) stream.tips.push_back(tip);
        return hipSuccess;
    }
    if (stream.capture) {
        if (!stream.capture->valid) return hipErrorStreamCaptureInvalidated;
        stream.capture->valid = false;
        return hipErrorStreamCaptureIsolation;
    }
    if (!event.moment) return hipSuccess;
    std::vector<uint64_t> after = fence(face, stream);
    after.push_back(event.operation);
    Work work;
    work.device = stream.device;
    stream.last = face.queue.push(std::move(work), after, stream.lane);
    return hipSuccess;
}

namespace
{

struct Place {
    bool good, device; /* device: not of the host */
    bool pageable;
};

Place place_of(Heap &heap, const void *pointer, size_t bytes)
{
    uint64_t address = reinterpret_cast<uint64_t>(pointer);
    Block *block = heap.find(address);
    if (!block) return {pointer && !heap.owns(address), false, true};
    bool inside = block->live && bytes <= block->bytes - (address - block->address);
    return {inside, block->device != pinned, false};
}

} // namespace

/* A copy from or to pageable memory is not asynchronous: the runtime waits for it. */
Status copy(Face &face, void *to, const void *from, size_t bytes, int kind, Stream *stream,
            bool wait)
{
    if (kind < hipMemcpyHostToHost || kind > hipMemcpyDefault)
        return hipErrorInvalidMemcpyDirection;
    if (bytes == 0) return hipSuccess;
    Place target = place_of(face.heap, to, bytes), source = place_of(face.heap, from, bytes);
    if (!target.good || !source.good) return hipErrorInvalidValue;
    bool to_device = kind == hipMemcpyHostToDevice || kind == hipMemcpyDeviceToDevice;
    bool from_device = kind == hipMemcpyDeviceToHost || kind == hipMemcpyDeviceToDevice;
    if (kind != hipMemcpyDefault && (to_device != target.device || from_device != source.device))
        return hipErrorInvalidValue;
    if (wait) {
        Status status = spoil(face, stream->device, hipErrorStreamCaptureImplicit);
        if (!status) status = unsafe(face);
        if (status) return status;
    }
    Work work;
    work.kind = Work::copy;
    work.to = reinterpret_cast<uint64_t>(to);
    work.from = reinterpret_cast<uint64_t>(from);
    work.bytes = bytes;
    bool captured = stream->capture != nullptr;
    Status status = submit(face, stream, std::move(work));
    if (status || captured) return status;
    bool both_device = target.device && source.device;
    if ((wait && !both_device) || target.pageable || source.pageable)
        return wait_for(face, stream->device, {stream->last});
    return hipSuccess;
}

Status fill(Face &face, void *to, uint32_t pattern, unsigned width, size_t bytes, Stream *stream)
{
    if (bytes == 0) return hipSuccess;
    Place target = place_of(face.heap, to, bytes);
    if (!target.good || target.pageable) return hipErrorInvalidValue;
    Work work;
    work.kind = Work::fill;
    work.to = reinterpret_cast<uint64_t>(to);
    work.bytes = bytes;
    work.pattern = pattern;
    work.width = width;
    return submit(face, stream, std::move(work));
}

} // namespace cdna::hip
