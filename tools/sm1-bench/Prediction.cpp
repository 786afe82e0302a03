// Plans carry no costs yet, so nothing is predicted.
#include "Prediction.h"

std::optional<double> predictedSeconds(const sm1rt::PlanLaunch &, int64_t, int64_t, const MachineRates &) { return std::nullopt; }
