/* hip_entry_stream.cpp -- the entry points of HIP for streams, events and graphs. */
#include "hip_entry.h"

#include <utility>

using namespace cdna;
using namespace cdna::hip;

namespace
{

Status spoiled(Capture &capture, Status status)
{
    capture.valid = false;
    return status;
}

/* A call that waits for this stream; the null stream stands for the blocking ones too. */
Status may_wait(Face &all, Stream *stream)
{
    if (stream->capture) return spoiled(*stream->capture, hipErrorStreamCaptureUnsupported);
    if (stream->null)
        if (Status status = spoil(all, stream->device, hipErrorStreamCaptureImplicit))
            return status;
    return unsafe(all);
}

Status may_wait(Face &all, Event *event)
{
    if (event->capture && all.captures.count(event->capture))
        return spoiled(*event->capture, hipErrorCapturedEvent);
    return unsafe(all);
}

std::vector<uint64_t> work_of(Face &all, const Stream &stream)
{
    if (stream.null) return fence(all, stream);
    return {stream.last};
}

} // namespace

/* ---- streams and events ---- */

int hipStreamCreate(Stream **stream)
{
    return call("hipStreamCreate", [&](Face &all) { return create_stream(all, stream, 0); });
}

int hipStreamCreateWithFlags(Stream **stream, unsigned flags)
{
    return call("hipStreamCreateWithFlags",
                [&](Face &all) { return create_stream(all, stream, flags); });
}

int hipStreamDestroy(Stream *stream)
{
    return call("hipStreamDestroy", [&](Face &all) {
        if (!all.streams.count(stream)) return hipErrorInvalidHandle;
        destroy_stream(all, stream);
        return hipSuccess;
    });
}

int hipStreamGetDevice(Stream *handle, int *device)
{
    return on_stream("hipStreamGetDevice", handle,
                     [&](Face &, Stream *stream) { return set(device, stream->device); });
}

int hipStreamQuery(Stream *handle)
{
    return on_stream("hipStreamQuery", handle, [&](Face &all, Stream *stream) {
        if (Status status = may_wait(all, stream)) return status;
        for (uint64_t id : work_of(all, *stream))
            if (!all.queue.progress(id)) return hipErrorNotReady;
        return take_pending(all, stream->device);
    });
}

int hipStreamSynchronize(Stream *handle)
{
    return on_stream("hipStreamSynchronize", handle, [&](Face &all, Stream *stream) {
        if (Status status = may_wait(all, stream)) return status;
        return wait_for(all, stream->device, work_of(all, *stream));
    });
}

int hipStreamWaitEvent(Stream *handle, Event *event, unsigned flags)
{
    return on_stream("hipStreamWaitEvent", handle, [&](Face &all, Stream *stream) {
        if (!all.events.count(event)) return hipErrorInvalidHandle;
        return flags ? hipErrorInvalidValue : wait_event(all, *stream, *event);
    });
}

int hipDeviceSynchronize(void)
{
    return call("hipDeviceSynchronize", [&](Face &all) {
        Status status = hipSuccess;
        for (auto &capture : all.captures)
            if (capture->device == current_device())
                status = spoiled(*capture, hipErrorStreamCaptureUnsupported);
        if (!status) status = unsafe(all);
        return status ? status : wait_for(all, current_device(), all_of(all, current_device()));
    });
}

int hipEventCreate(Event **event)
{
    return call("hipEventCreate", [&](Face &all) { return create_event(all, event, 0); });
}

int hipEventCreateWithFlags(Event **event, unsigned flags)
{
    return call("hipEventCreateWithFlags",
                [&](Face &all) { return create_event(all, event, flags); });
}

int hipEventRecord(Event *event, Stream *handle)
{
    return on_stream("hipEventRecord", handle, [&](Face &all, Stream *stream) {
        return all.events.count(event) ? record_event(all, *event, *stream) : hipErrorInvalidHandle;
    });
}

int hipEventQuery(Event *event)
{
    return on_event("hipEventQuery", event, [&](Face &all) {
        if (Status status = may_wait(all, event)) return status;
        return all.queue.progress(event->operation) ? hipSuccess : hipErrorNotReady;
    });
}

int hipEventSynchronize(Event *event)
{
    return on_event("hipEventSynchronize", event, [&](Face &all) {
        if (Status status = may_wait(all, event)) return status;
        return wait_for(all, event->device, {event->operation});
    });
}

int hipEventElapsedTime(float *ms, Event *start, Event *stop)
{
    return call("hipEventElapsedTime", [&](Face &all) {
        if (!ms) return hipErrorInvalidValue;
        for (Event *event : {start, stop}) {
            if (!all.events.count(event) || !event->moment || event->capture ||
                event->flags & hipEventDisableTiming)
                return hipErrorInvalidHandle;
            if (!event->moment->reached) return hipErrorNotReady;
        }
        *ms = float(stop->moment->milliseconds - start->moment->milliseconds);
        return hipSuccess;
    });
}

int hipEventDestroy(Event *event)
{
    return on_event("hipEventDestroy", event, [&](Face &all) {
        all.events.erase(event);
        return hipSuccess;
    });
}

/* ---- graphs ---- */

int hipStreamBeginCapture(Stream *handle, int mode)
{
    return on_stream("hipStreamBeginCapture", handle,
                     [&](Face &all, Stream *stream) { return begin_capture(all, stream, mode); });
}

int hipStreamEndCapture(Stream *handle, Graph **graph)
{
    return on_stream("hipStreamEndCapture", handle,
                     [&](Face &all, Stream *stream) { return end_capture(all, stream, graph); });
}

int hipStreamIsCapturing(Stream *handle, int *status)
{
    return on_stream("hipStreamIsCapturing", handle, [&](Face &all, Stream *stream) {
        if (stream->null)
            if (Status refused = spoil(all, stream->device, hipErrorStreamCaptureImplicit))
                return refused;
        if (!stream->capture) return set<int>(status, hipStreamCaptureStatusNone);
        return set<int>(status, stream->capture->valid ? hipStreamCaptureStatusActive
                                                       : hipStreamCaptureStatusInvalidated);
    });
}

int hipThreadExchangeStreamCaptureMode(int *mode)
{
    return call("hipThreadExchangeStreamCaptureMode", [&](Face &) {
        if (!mode || *mode < hipStreamCaptureModeGlobal || *mode > hipStreamCaptureModeRelaxed)
            return hipErrorInvalidValue;
        std::swap(*mode, capture_mode());
        return hipSuccess;
    });
}

int hipGraphInstantiate(GraphExec **exec, Graph *graph, void **error_node, char *log, size_t bytes)
{
    return call("hipGraphInstantiate", [&](Face &all) {
        if (error_node) *error_node = nullptr;
        if (log && bytes) *log = 0;
        if (!exec || !all.graphs.count(graph)) return hipErrorInvalidValue;
        auto made = std::make_unique<GraphExec>();
        made->nodes = graph->nodes;
        *exec = made.get();
        all.execs[*exec] = std::move(made);
        return hipSuccess;
    });
}

int hipGraphLaunch(GraphExec *exec, Stream *handle)
{
    return on_stream("hipGraphLaunch", handle, [&](Face &all, Stream *stream) {
        return all.execs.count(exec) ? launch_graph(all, *exec, *stream) : hipErrorInvalidValue;
    });
}

int hipGraphDestroy(Graph *graph)
{
    return call("hipGraphDestroy", [&](Face &all) {
        return all.graphs.erase(graph) ? hipSuccess : hipErrorInvalidValue;
    });
}

int hipGraphExecDestroy(GraphExec *exec)
{
    return call("hipGraphExecDestroy", [&](Face &all) {
        return all.execs.erase(exec) ? hipSuccess : hipErrorInvalidValue;
    });
}
