// Which ceilings the rows of one variant are set against, those of a CPU's threads or of a GPU, and the rates of its machine.
#ifndef SM1_BENCH_VARIANTCEILINGS_H
#define SM1_BENCH_VARIANTCEILINGS_H

#include "Measurement.h"
#include "Prediction.h"

class VariantCeilings {
public:
  /// `ceilings` has to be open for the variant's machine before the first question.
  VariantCeilings(Ceilings &ceilings, const Variant &facts, bool onGpu) : ceilings(ceilings), facts(facts), onGpu(onGpu) {}

  /// Of a run: of its weights; where there are none, of all that is read and written.
  CeilingsOfRow ofRun(const Work &work);
  CeilingsOfRow ofKernel(const Work &work);
  /// Asks for those that predictions are made from.
  void askForRates();
  /// Medians of them.
  MachineRates rates() const;

private:
  std::optional<size_t> memory(double readBytes, double writtenBytes);
  std::optional<size_t> arithmetic(std::string_view compute);
  std::optional<size_t> products(const Work &work);
  double rate(std::optional<size_t> ceiling) const;

  Ceilings &ceilings;
  const Variant &facts;
  bool onGpu;
  std::optional<size_t> read, copy, cache, launch, f32, bf16, int8; ///< what rates() are
};

#endif // SM1_BENCH_VARIANTCEILINGS_H
