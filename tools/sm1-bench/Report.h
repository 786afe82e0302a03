// Measurements for people and for programs.
#ifndef SM1_BENCH_REPORT_H
#define SM1_BENCH_REPORT_H

#include "Rows.h"

void printText(const Measurement &measurement);
/// One JSON object.
void printJson(const Measurement &measurement);

#endif // SM1_BENCH_REPORT_H
