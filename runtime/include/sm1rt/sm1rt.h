/* The C API of the sm1 runtime.
 *
 * Results: functions that can go wrong return 0, or -1 and leave a sentence in sm1rt_last_error(). Nothing throws, nothing exits.
 * Ownership: what a function creates belongs to the caller, who frees it with the matching _free; NULL is accepted there. Arrays
 * and strings passed in are read during the call only. A sequence belongs to the model that made it and is freed before it.
 * Threads: calls on one model take turns inside; a sequence is used by one thread at a time; sm1rt_last_error is per thread.
 * Growth: structs start with their size, functions are only added within one sm1rt_abi_version.
 */
#ifndef SM1RT_SM1RT_H
#define SM1RT_SM1RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SM1RT_ABI_VERSION 1

typedef struct sm1rt_model sm1rt_model;
typedef struct sm1rt_sequence sm1rt_sequence;
typedef struct sm1rt_result sm1rt_result;

/* SM1RT_ABI_VERSION of the library; a program compares it with its own. */
uint32_t sm1rt_abi_version(void);

/* What went wrong in the last call of this thread that returned -1 or NULL; valid until its next call. Never NULL. */
const char *sm1rt_last_error(void);

/* ---- models ---- */

typedef struct sm1rt_options {
  size_t size;           /* sizeof(sm1rt_options) */
  const char *params;    /* checkpoint folder or file of an external package; NULL: the package carries its weights */
  const char *device;    /* "auto", "cpu"; NULL: auto */
  const char *isa;       /* target to take, e.g. "x86-64-v3"; NULL: the best this machine runs */
  int32_t threads;       /* including the caller's; 0: one per available core */
  int64_t rows_per_pass; /* bounds the workspace, never changes results; 0: 256 */
  /* Called with one line per launch when not NULL, from inside sm1rt_run and sm1rt_call. */
  void (*trace)(void *user, const char *line);
  void *trace_user;
} sm1rt_options;

/* All defaults. */
void sm1rt_options_init(sm1rt_options *options);

/* Opens a package and binds its parameters. `options` may be NULL. NULL on error. */
sm1rt_model *sm1rt_open(const char *package, const sm1rt_options *options);
/* The same with the checkpoint named: a folder or file that the package's parameters are bound to. */
sm1rt_model *sm1rt_open_with_params(const char *package, const char *params);
void sm1rt_model_free(sm1rt_model *model);

/* e.g. "cpu (x86-64-v4, 2 threads)"; valid as long as the model. */
const char *sm1rt_device_name(const sm1rt_model *model);
/* Largest token + 1 of a model that reads tokens; 0 for one that does not. */
int64_t sm1rt_token_limit(const sm1rt_model *model);
/* Number of row outputs, and the name and width of one; NULL and 0 when it does not exist. */
size_t sm1rt_output_count(const sm1rt_model *model);
const char *sm1rt_output_name(const sm1rt_model *model, size_t output);
int64_t sm1rt_output_width(const sm1rt_model *model, size_t output);

/* ---- sequences ---- */

/* At its start: all states zero. */
sm1rt_sequence *sm1rt_sequence_new(sm1rt_model *model);
/* An independent copy. */
sm1rt_sequence *sm1rt_sequence_fork(const sm1rt_sequence *sequence);
void sm1rt_sequence_free(sm1rt_sequence *sequence);
int sm1rt_sequence_reset(sm1rt_sequence *sequence);
/* Tokens or rows run through it since the start. */
int64_t sm1rt_sequence_position(const sm1rt_sequence *sequence);
/* A safetensors file; load refuses the state of another model and then leaves the sequence as it was. */
int sm1rt_sequence_save(const sm1rt_sequence *sequence, const char *path);
int sm1rt_sequence_load(sm1rt_sequence *sequence, const char *path);

/* ---- tokens ---- */

/* Runs tokens through sequences of any lengths: sequence i takes counts[i] >= 1 tokens, all tokens lie one after the other in
 * `tokens`. Row outputs that are computed for chosen rows are computed for the last token of each sequence, or for all tokens when
 * `every_row` is not 0. On an error no sequence has changed. NULL on error. */
sm1rt_result *sm1rt_prefill(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens,
                            const int64_t *counts, int every_row);
/* One token per sequence: tokens[i] for sequence i. */
sm1rt_result *sm1rt_step(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens);

/* ---- any entry ---- */

typedef enum sm1rt_dtype { SM1RT_F32 = 0, SM1RT_I32 = 1 } sm1rt_dtype;

/* A dense tensor, last dimension contiguous. */
typedef struct sm1rt_tensor {
  const char *name;
  sm1rt_dtype dtype;
  size_t rank;
  const int64_t *shape; /* [rank] */
  const void *data;
} sm1rt_tensor;

/* Runs an entry on fresh sequences: tokens I32 [batch, time], rows F32 [batch, time, width], states F32 [batch, layers, shape...],
 * by the names of the package; absent states are zero. `lengths` is NULL or [batch]. The result holds the package's outputs, rows
 * as [batch, time, width] with zeros behind a sequence's length. NULL on error. */
sm1rt_result *sm1rt_call(sm1rt_model *model, const char *entry, const sm1rt_tensor *inputs, size_t input_count,
                         const int64_t *lengths, size_t length_count);

/* ---- results ---- */

size_t sm1rt_result_count(const sm1rt_result *result);
/* Fills `tensor`; what it points at belongs to the result. Of prefill and step: F32 [rows, width], sequence after sequence. */
int sm1rt_result_tensor(const sm1rt_result *result, size_t index, sm1rt_tensor *tensor);
/* Shorthand for the values of the first output, a language model's logits; NULL when there is none. */
const float *sm1rt_result_values(const sm1rt_result *result);
void sm1rt_result_free(sm1rt_result *result);

#ifdef __cplusplus
}
#endif

#endif /* SM1RT_SM1RT_H */
