/* The C API of the sm1 runtime.
 *
 * Results: functions that can go wrong return 0 or a handle, or -1 or NULL and leave a sentence in sm1rt_last_error(). Nothing
 * throws, nothing exits. NULL for a handle, a string or an array that a call needs is such an error, too; functions that give a
 * count, a width or a limit then return 0, sm1rt_sequence_position -1.
 * Ownership: what a function creates belongs to the caller, who frees it with the matching _free; NULL is accepted there. Arrays
 * and strings passed in are read during the call only. A sequence belongs to the model that made it and is freed before it.
 * Threads: any function may be called from any thread. Calls on one model take turns inside; calls on different models do not
 * wait for each other. A sequence or a result is used by one thread at a time. sm1rt_last_error is per thread. The trace callback
 * runs on the thread that called, and may call nothing on its model.
 * Growth: structs start with their size, functions are only added within one SM1RT_ABI_VERSION. sm1rt_open hands the version that
 * the program was compiled with to the library, which refuses another.
 */
#ifndef SM1RT_SM1RT_H
#define SM1RT_SM1RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SM1RT_ABI_VERSION 2

typedef struct sm1rt_model sm1rt_model;
typedef struct sm1rt_sequence sm1rt_sequence;
typedef struct sm1rt_result sm1rt_result;

/* SM1RT_ABI_VERSION of the library. */
uint32_t sm1rt_abi_version(void);
/* -1, with both versions in the error, unless `compiled` is the library's version. Only a program that loads the library by hand
 * has to ask. */
int sm1rt_check_abi(uint32_t compiled);

/* What went wrong in the last call of this thread that returned -1 or NULL; valid until its next call. Never NULL. */
const char *sm1rt_last_error(void);

/* ---- tensors ---- */

typedef enum sm1rt_dtype { SM1RT_F32 = 0, SM1RT_I32 = 1 } sm1rt_dtype;

/* A dense tensor, last dimension contiguous. */
typedef struct sm1rt_tensor {
  const char *name;
  sm1rt_dtype dtype;
  size_t rank;
  const int64_t *shape; /* [rank] */
  const void *data;     /* NULL where only a shape is described */
} sm1rt_tensor;

/* ---- models ---- */

typedef struct sm1rt_options {
  size_t size;           /* sizeof(sm1rt_options) */
  const char *params;    /* checkpoint folder or file of an external package; NULL: the package carries its weights */
  const char *device;    /* "cpu", "cuda", "cuda:N", "auto"; NULL: auto */
  const char *isa;       /* target to take, e.g. "x86-64-v3"; NULL: the best that the device runs */
  int32_t threads;       /* including the caller's; 0: one per available core */
  int64_t rows_per_pass; /* bounds the workspace, never changes results; 0: what suits the device */
  /* Called with one line per launch when not NULL, from inside sm1rt_run, sm1rt_prefill, sm1rt_step and sm1rt_call. */
  void (*trace)(void *user, const char *line);
  void *trace_user;
} sm1rt_options;

/* All defaults. */
static inline void sm1rt_options_init(sm1rt_options *options) {
  const sm1rt_options defaults = {sizeof(sm1rt_options), NULL, NULL, NULL, 0, 0, NULL, NULL};
  *options = defaults;
}

/* What sm1rt_open calls; `compiled` is the SM1RT_ABI_VERSION of the caller. */
sm1rt_model *sm1rt_open_abi(uint32_t compiled, const char *package, const sm1rt_options *options);

/* Opens a package and binds its parameters. `options` may be NULL. NULL on error. */
static inline sm1rt_model *sm1rt_open(const char *package, const sm1rt_options *options) {
  return sm1rt_open_abi(SM1RT_ABI_VERSION, package, options);
}

/* The same with the checkpoint named: a folder or file that the package's parameters are bound to. */
static inline sm1rt_model *sm1rt_open_with_params(const char *package, const char *params) {
  sm1rt_options options;
  sm1rt_options_init(&options);
  options.params = params;
  return sm1rt_open(package, &options);
}

void sm1rt_model_free(sm1rt_model *model);

/* e.g. "cpu (x86-64-v4, 2 threads)"; valid as long as the model. */
const char *sm1rt_device_name(const sm1rt_model *model);
/* 16 hex digits that tie saved states to description and weights; reads all weights once. Valid as long as the model. NULL on
 * error. */
const char *sm1rt_fingerprint(sm1rt_model *model);
/* Largest token + 1 of a model that reads tokens; 0 for one that does not. */
int64_t sm1rt_token_limit(const sm1rt_model *model);
/* Number of row inputs, and the name and width of one; NULL and 0 when it does not exist. */
size_t sm1rt_input_count(const sm1rt_model *model);
const char *sm1rt_input_name(const sm1rt_model *model, size_t input);
int64_t sm1rt_input_width(const sm1rt_model *model, size_t input);
/* The same of row outputs. */
size_t sm1rt_output_count(const sm1rt_model *model);
const char *sm1rt_output_name(const sm1rt_model *model, size_t output);
int64_t sm1rt_output_width(const sm1rt_model *model, size_t output);
/* States of a sequence; `tensor` gets name and shape [layers, shape...], valid as long as the model. */
size_t sm1rt_state_count(const sm1rt_model *model);
int sm1rt_state(const sm1rt_model *model, size_t state, sm1rt_tensor *tensor);

/* ---- sequences ---- */

/* At its start: all states zero. */
sm1rt_sequence *sm1rt_sequence_new(sm1rt_model *model);
/* An independent copy. */
sm1rt_sequence *sm1rt_sequence_fork(const sm1rt_sequence *sequence);
void sm1rt_sequence_free(sm1rt_sequence *sequence);
int sm1rt_sequence_reset(sm1rt_sequence *sequence);
/* Tokens or rows run through it since the start. */
int64_t sm1rt_sequence_position(const sm1rt_sequence *sequence);
/* State `state` to or from `values`, dense; `count` must be its number of elements. What is written must be finite. */
int sm1rt_sequence_read(const sm1rt_sequence *sequence, size_t state, float *values, size_t count);
int sm1rt_sequence_write(sm1rt_sequence *sequence, size_t state, const float *values, size_t count);

/* ---- states as files ---- */

/* What makes a conversation go on as if it had not been interrupted: all tokens so far, of which the sequence has read the first
 * sm1rt_sequence_position, and the key of its random numbers. */
typedef struct sm1rt_conversation {
  size_t size; /* sizeof(sm1rt_conversation) */
  const int32_t *tokens;
  size_t token_count;
  uint64_t seed, sequence;
} sm1rt_conversation;

/* A safetensors file, written whole or not at all; load refuses the state of another model and then leaves the sequence as it
 * was. */
int sm1rt_sequence_save(const sm1rt_sequence *sequence, const char *path);
int sm1rt_sequence_load(sm1rt_sequence *sequence, const char *path);
/* The same with the conversation; load sets `size` too, its tokens belong to the sequence until its next load or free. */
int sm1rt_sequence_save_conversation(const sm1rt_sequence *sequence, const char *path, const sm1rt_conversation *conversation);
int sm1rt_sequence_load_conversation(sm1rt_sequence *sequence, const char *path, sm1rt_conversation *conversation);

typedef struct sm1rt_state_comparison {
  size_t size;             /* sizeof(sm1rt_state_comparison), set by the caller */
  int32_t identical;       /* both go on alike, bit for bit */
  int32_t same_model;      /* fingerprints */
  int64_t common_tokens;   /* how many tokens the two begin with alike */
  double largest_distance; /* of any state, |a - b| / |b| */
} sm1rt_state_comparison;

/* Compares two saved states without their model. */
int sm1rt_state_compare(const char *a, const char *b, sm1rt_state_comparison *comparison);

/* ---- runs ---- */

/* Runs tokens through sequences of any lengths: sequence i takes counts[i] >= 1 tokens, all tokens lie one after the other in
 * `tokens`. Row outputs that are computed for chosen rows are computed for the last token of each sequence, or for all tokens when
 * `every_row` is not 0. On an error no sequence has changed. NULL on error. */
sm1rt_result *sm1rt_prefill(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens,
                            const int64_t *counts, int every_row);
/* One token per sequence: tokens[i] for sequence i. */
sm1rt_result *sm1rt_step(sm1rt_model *model, sm1rt_sequence *const *sequences, size_t sequence_count, const int32_t *tokens);
/* Any entry on sequences with the model's inputs by name: tokens I32 [sum of counts], rows F32 [sum of counts, width]. Otherwise as
 * sm1rt_prefill; `counts` NULL: 1 each. */
sm1rt_result *sm1rt_run(sm1rt_model *model, const char *entry, sm1rt_sequence *const *sequences, size_t sequence_count,
                        const sm1rt_tensor *inputs, size_t input_count, const int64_t *counts, int every_row);

/* Any entry as a function of tensors, on fresh sequences: tokens I32 [batch, time], rows F32 [batch, time, width], states F32
 * [batch, layers, shape...], by the names of the package; absent states are zero. `lengths` is NULL or [batch]. The result holds
 * the package's outputs, rows as [batch, time, width] with zeros behind a sequence's length. NULL on error. */
sm1rt_result *sm1rt_call(sm1rt_model *model, const char *entry, const sm1rt_tensor *inputs, size_t input_count,
                         const int64_t *lengths, size_t length_count);

/* ---- results ---- */

size_t sm1rt_result_count(const sm1rt_result *result);
/* Fills `tensor`; what it points at belongs to the result. Of prefill, step and run: F32 [rows, width], sequence after sequence. */
int sm1rt_result_tensor(const sm1rt_result *result, size_t index, sm1rt_tensor *tensor);
/* Shorthand for the values of the first output, a language model's logits; NULL when there is none. */
const float *sm1rt_result_values(const sm1rt_result *result);
void sm1rt_result_free(sm1rt_result *result);

/* ---- sampling ---- */

typedef struct sm1rt_sampling {
  size_t size;                        /* sizeof(sm1rt_sampling) */
  int32_t greedy;                     /* not 0: the likeliest token, always; nothing below counts */
  double temperature;                 /* above 0; logits are divided by it */
  double top_p;                       /* 0 to 1; a token stays while the probability before it, best first, is at most this */
  double repetition_penalty;          /* at least 1; 1: none */
  int64_t penalty_window;             /* tokens looked back upon */
  int32_t penalty_begin, penalty_end; /* ids that the penalty is for, the end exclusive; equal: none */
  uint64_t seed, sequence;            /* key of the random numbers; `sequence` tells sequences of one seed apart */
} sm1rt_sampling;

/* The defaults of sm1-run generate: 0.92, 0.93, 1.08 over the last 256, seed 0. `vocabulary` is the number of ids: with room for
 * the ids of music the penalty is for its pitches, else for none. */
void sm1rt_sampling_init(sm1rt_sampling *sampling, int64_t vocabulary);
/* Chooses the token that follows `tokens`, all of the conversation so far, from `count` logits. The draw depends on seed, sequence
 * and token_count only. Logits of minus infinity bar their tokens. `tokens` may be NULL when token_count is 0. */
int sm1rt_sample(const float *logits, int64_t count, const sm1rt_sampling *sampling, const int32_t *tokens, size_t token_count,
                 int32_t *token);

#ifdef __cplusplus
}
#endif

#endif /* SM1RT_SM1RT_H */
