/* The compiler as a C library, libsm1c, for host programs that want it in their process. LLVM may end the process on an internal
 * error; run the program sm1c as a child where that must not happen. */
#ifndef SM1C_SM1C_H
#define SM1C_SM1C_H

#ifdef __cplusplus
extern "C" {
#endif

/* What sm1c's options of the same names say; NULL or "": the default. Strings are UTF-8 and stay the caller's. */
typedef struct Sm1cRequest {
  const char *model;   /* FILE.mlir or a checkpoint directory; required */
  const char *output;  /* the package; required */
  const char *targets; /* names with commas between them */
  const char *weights;
  const char *compute;
  const char *form;
  const char *params;
  const char *weightsIn;
} Sm1cRequest;

/* Called with one line for a person, valid during the call, on the calling thread. */
typedef void (*Sm1cReport)(const char *line, void *user);

/* 0, or 1 after an error that has been reported; then no file has been written. `report` may be NULL. May be called from several
 * threads at once with different outputs. */
int sm1c_compile(const Sm1cRequest *request, Sm1cReport report, void *user);

/* "sm1c 0.1.0 (LLVM 22.1.8)"; lives as long as the library. */
const char *sm1c_version(void);

#ifdef __cplusplus
}
#endif

#endif /* SM1C_SM1C_H */
