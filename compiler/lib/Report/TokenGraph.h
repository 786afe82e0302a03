//===- TokenGraph.h - one launch for a whole token, as a graph of its phases --------------------------------------===//

#ifndef SM1C_LIB_REPORT_TOKENGRAPH_H
#define SM1C_LIB_REPORT_TOKENGRAPH_H

#include "Graph.h"
#include "Machines.h"
#include "sm1c/Token.h"

namespace sm1 {

/// The phases of `kernel` in the place of kernels; the description was parsed under the name `file`.
KernelGraph graphOfToken(const TokenKernel &kernel, llvm::StringRef file);

/// A phase's part of the time that the cost model expects of a token of `sequences`; parts add up, each `times` over.
Estimate estimatePhase(const Machine &machine, const KernelNode &phase, const KernelGraph &token, double sequences);

} // namespace sm1

#endif // SM1C_LIB_REPORT_TOKENGRAPH_H
