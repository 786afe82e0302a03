"""PyTorch on a GPU for tools/bench-torch: eagerly, as a CUDA graph, and compiled with max-autotune in a graph. The host's time from call to
results, as sm1-bench has it."""
import statistics
import time

WARM_UPS = 3
ENOUGH = 0.3  # seconds of a row, however few repetitions that are


class TorchGpu:
    """`prefill(model, tokens)` and `decode(model, token, memory)` give logits; `new_memory(model, batch)` is what a decode goes on from;
    the host waits behind `steps` of these."""

    def __init__(self, torch, model, prefill, decode, new_memory, steps, repeats):
        self.torch, self.model, self.steps, self.repeats = torch, model.to("cuda", torch.bfloat16).eval(), steps, repeats
        self.prefill, self.decode, self.new_memory = prefill, decode, new_memory
        self.made = {}  # what a row runs, by (row, way): graphs are captured once
        self.kept = []  # tensors that graphs read and write live in these

    def seconds(self, row, way):
        """Median of one step, or one prompt."""
        with self.torch.inference_mode():
            if (row, way) not in self.made:
                self.made[row, way] = self.make(row, way)
            run, count = self.made[row, way], self.steps if row.name == "decode" else 1
            times = [self.timed(run, count)]
            while len(times) < self.repeats and sum(times) < ENOUGH:
                times.append(self.timed(run, count))
            return statistics.median(times) / count

    def timed(self, run, count):
        """Seconds of so many runs, one behind the other."""
        self.torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            run()
        self.torch.cuda.synchronize()
        return time.perf_counter() - start

    def work(self, row):
        """A function of nothing that runs a row on tensors that stay where they are."""
        name, batch, count = row
        tokens = self.torch.arange(batch * count, device="cuda").mul(7919).remainder(self.model.embed.num_embeddings).view(batch, count)
        if name == "prefill":
            return lambda model=self.model: self.prefill(model, tokens)
        memory, token = self.new_memory(self.model, batch), tokens[:, 0].contiguous()

        def step(model=self.model):
            now = [list(layer) for layer in memory]
            logits = self.decode(model, token, now)
            for before, after in zip(memory, now):
                for old, new in zip(before, after):
                    old.copy_(new)
            return logits

        return step

    def make(self, row, way):
        work = self.work(row)
        if way == "compile":
            work = self.torch.compile(work, mode="max-autotune-no-cudagraphs")
        stream = self.torch.cuda.Stream()
        with self.torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                work()
        self.torch.cuda.synchronize()
        if way == "eager":
            return work
        self.kept.append(work)
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            work()
        return graph.replay
