/* hip_graph.cpp -- capture of streams into graphs, and the launch of graphs. What HIP forbids
 * during a capture fails here with HIP's codes, and spoils the capture as there. */
#include "hip_state.h"

#include <algorithm>

namespace cdna::hip
{

/* Calls that may wait or allocate: forbidden by the mode of this thread and of the captures. */
Status unsafe(Face &face)
{
    Status status = hipSuccess;
    auto here = std::this_thread::get_id();
    for (auto &capture : face.captures) {
        if (capture->mode == hipStreamCaptureModeRelaxed) continue;
        if (capture_mode() == hipStreamCaptureModeRelaxed) continue;
        bool everywhere = capture->mode == hipStreamCaptureModeGlobal &&
                          capture_mode() == hipStreamCaptureModeGlobal;
        if (!everywhere && capture->thread != here) continue;
        capture->valid = false;
        status = hipErrorStreamCaptureUnsupported;
    }
    return status;
}

/* What the device's null stream does would have to wait for capturing streams that block. */
Status spoil(Face &face, int device, Status code)
{
    Status status = hipSuccess;
    for (Stream *stream : face.devices[device].streams) {
        if (!stream->capture || !stream->blocking) continue;
        stream->capture->valid = false;
        status = code;
    }
    return status;
}

Status add_node(Capture &capture, Stream &stream, Work work)
{
    if (!capture.valid) return hipErrorStreamCaptureInvalidated;
    capture.graph->nodes.push_back({std::move(work), stream.tips});
    stream.tips = {capture.graph->nodes.size() - 1};
    return hipSuccess;
}

Status begin_capture(Face &face, Stream *stream, int mode)
{
    if (mode < hipStreamCaptureModeGlobal || mode > hipStreamCaptureModeRelaxed)
        return hipErrorInvalidValue;
    if (stream->null) return hipErrorStreamCaptureUnsupported;
    if (stream->capture) return hipErrorIllegalState;
    auto capture = std::make_shared<Capture>();
    capture->origin = stream;
    capture->mode = mode;
    capture->device = stream->device;
    capture->thread = std::this_thread::get_id();
    stream->capture = capture;
    stream->tips.clear();
    face.captures.insert(capture);
    return hipSuccess;
}

namespace
{

/* Every stream that took part must have been waited for by the one that began. */
bool joined(const Capture &capture, const Stream &other)
{
    const auto &nodes = capture.graph->nodes;
    std::vector<bool> reached(nodes.size());
    std::vector<size_t> stack(capture.origin->tips);
    while (!stack.empty()) {
        size_t at = stack.back();
        stack.pop_back();
        if (reached[at]) continue;
        reached[at] = true;
        stack.insert(stack.end(), nodes[at].after.begin(), nodes[at].after.end());
    }
    return std::all_of(other.tips.begin(), other.tips.end(), [&](size_t t) { return reached[t]; });
}

} // namespace

void drop_capture(Face &face, std::shared_ptr<Capture> capture)
{
    capture->valid = false;
    for (auto &entry : face.streams)
        if (entry.first->capture == capture) entry.first->capture.reset();
    face.captures.erase(capture);
}

Status end_capture(Face &face, Stream *stream, Graph **graph)
{
    auto capture = stream->capture;
    if (!graph) return hipErrorInvalidValue;
    *graph = nullptr;
    if (!capture) return hipErrorIllegalState;
    if (capture->origin != stream) return hipErrorStreamCaptureUnmatched;
    if (capture->mode != hipStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id())
        return hipErrorStreamCaptureWrongThread;
    Status status = capture->valid ? hipSuccess : hipErrorStreamCaptureInvalidated;
    for (auto &entry : face.streams)
        if (entry.first->capture == capture && !status && !joined(*capture, *entry.first))
            status = hipErrorStreamCaptureUnjoined;
    drop_capture(face, capture);
    if (status) return status;
    *graph = capture->graph.get();
    face.graphs[*graph] = std::move(capture->graph);
    return hipSuccess;
}

namespace
{

/* A graph in a graph: its nodes, after the stream's and before what the stream does next. */
Status add_graph(const std::vector<Node> &nodes, Stream &stream)
{
    Capture &capture = *stream.capture;
    if (!capture.valid) return hipErrorStreamCaptureInvalidated;
    auto &all = capture.graph->nodes;
    size_t first = all.size();
    for (const Node &node : nodes) {
        Node copy{node.work, node.after.empty() ? stream.tips : node.after};
        if (!node.after.empty())
            for (size_t &at : copy.after) at += first;
        all.push_back(std::move(copy));
    }
    std::vector<size_t> tips(stream.tips);
    for (size_t at = first; at < all.size(); at++) tips.push_back(at);
    all.push_back({Work(), tips});
    all.back().work.device = stream.device;
    stream.tips = {all.size() - 1};
    return hipSuccess;
}

} // namespace

Status launch_graph(Face &face, GraphExec &exec, Stream &stream)
{
    for (const Node &node : exec.nodes)
        if (node.work.device != stream.device) return hipErrorInvalidHandle;
    if (stream.capture) return add_graph(exec.nodes, stream);
    if (stream.null) {
        Status status = spoil(face, stream.device, hipErrorStreamCaptureImplicit);
        if (status) return status;
    }
    std::vector<uint64_t> before = fence(face, stream), ids, end;
    before.push_back(exec.last);
    bool chain = true;
    for (size_t i = 1; i < exec.nodes.size(); i++)
        chain = chain && exec.nodes[i].after == std::vector<size_t>{i - 1};
    for (const Node &node : exec.nodes) {
        std::vector<uint64_t> after;
        for (size_t at : node.after) after.push_back(ids[at]);
        uint64_t lane = chain ? stream.lane : face.queue.new_lane();
        ids.push_back(face.queue.push(node.work, node.after.empty() ? before : after, lane));
    }
    end = before;
    end.insert(end.end(), ids.begin(), ids.end());
    Work mark;
    mark.device = stream.device;
    stream.last = exec.last = face.queue.push(std::move(mark), end, stream.lane);
    return hipSuccess;
}

} // namespace cdna::hip
