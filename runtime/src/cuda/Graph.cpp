// Capture and replay.
#include "Graph.h"

#include <algorithm>

namespace sm1rt::cuda {

Expected<CUgraphExec> GraphCache::capture(const std::function<Expected<void>()> &work) {
  const Driver &driver = context->driver;
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  // Of this thread only: other threads of the program may use other devices meanwhile.
  if (auto begun = context->check(driver.cuStreamBeginCapture_v2(context->stream, captureThreadLocal), "starting a capture");
      !begun)
    return begun.error();
  Expected<void> done = work();
  CUresult ended = driver.cuStreamEndCapture(context->stream, &graph);
  if (done)
    done = context->check(ended, "ending a capture");
  if (done)
    done = context->check(driver.cuGraphInstantiateWithFlags(&executable, graph, 0), "making a graph");
  if (graph)
    driver.cuGraphDestroy(graph);
  if (!done)
    return done.error();
  return executable;
}

std::vector<GraphCache::Entry>::const_iterator GraphCache::find(const ReplayKey &key) const {
  return std::find_if(entries.begin(), entries.end(), [&](const Entry &entry) { return entry.key == key; });
}

Expected<void> GraphCache::run(const ReplayKey &key, const std::function<Expected<void>()> &work) {
  if (auto ready = context->enter(); !ready)
    return ready;
  auto known = entries.begin() + (find(key) - entries.cbegin());
  if (known == entries.end()) {
    auto graph = capture(work);
    if (!graph)
      return graph.error();
    if (entries.size() == mostGraphs) {
      context->driver.cuGraphExecDestroy(entries.back().graph);
      entries.pop_back();
    }
    known = entries.insert(entries.end(), {key, *graph});
  }
  std::rotate(entries.begin(), known, known + 1);
  context->busy = true;
  return context->check(context->driver.cuGraphLaunch(entries.front().graph, context->stream), "launching a graph");
}

void GraphCache::clear() {
  bool alive = bool(context->enter());
  for (Entry &entry : entries)
    if (alive)
      context->driver.cuGraphExecDestroy(entry.graph);
  entries.clear();
}

} // namespace sm1rt::cuda
