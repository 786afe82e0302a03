// NVIDIA's management library as far as sm1-bench uses it: one GPU that takes 250 W.
#include <string.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int nvmlInit_v2(void) { return 0; }

EXPORTED int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **device) {
  static int gpu;
  *device = &gpu;
  return strchr(bus, ':') ? 0 : 2; // an invalid argument
}

EXPORTED int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *millijoules = (unsigned long long)(250e3 * ((double)now.tv_sec + 1e-9 * (double)now.tv_nsec));
  return device ? 0 : 2;
}
