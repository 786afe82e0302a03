// CUDA graphs of work that comes again: captured from the stream once, then launched as a whole.
#ifndef SM1RT_SRC_CUDA_GRAPH_H
#define SM1RT_SRC_CUDA_GRAPH_H

#include "../Device.h"
#include "Context.h"

namespace sm1rt::cuda {

/// The graphs used last, by key.
class GraphCache {
public:
  explicit GraphCache(std::shared_ptr<Context> context) : context(std::move(context)) {}
  ~GraphCache() { clear(); }
  GraphCache(const GraphCache &) = delete;
  GraphCache &operator=(const GraphCache &) = delete;

  /// Starts the work of `key`, captured from `work` when it is not known. Waits for nothing.
  Expected<void> run(const ReplayKey &key, const std::function<Expected<void>()> &work);
  bool has(const ReplayKey &key) const { return find(key) != entries.end(); }
  void clear();

private:
  static constexpr size_t mostGraphs = 48; // three a size of batch; one of the 130M configuration takes about 1 MB of the device

  struct Entry {
    ReplayKey key;
    CUgraphExec graph;
  };
  std::vector<Entry>::const_iterator find(const ReplayKey &key) const;
  Expected<CUgraphExec> capture(const std::function<Expected<void>()> &work);

  std::shared_ptr<Context> context;
  std::vector<Entry> entries; // the one used last in front
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_GRAPH_H
