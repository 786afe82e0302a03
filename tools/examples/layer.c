/* A layer as a function of tensors: rows and state in, rows and state out.
 *
 *   layer PACKAGE [TIME]
 *
 * PACKAGE is made from a description of one layer, e.g. kernels/specs/sm1-layer.mlir. The program runs TIME rows (default 32) of
 * two sequences at once, then in two parts with the state handed from one call to the next, and compares the bits. */
#include "sm1rt/sm1rt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { batch = 2, largest_rank = 8, most_states = 8 };

static void *must(void *pointer) {
  if (pointer)
    return pointer;
  fprintf(stderr, "layer: %s\n", *sm1rt_last_error() ? sm1rt_last_error() : "no memory");
  exit(1);
}

/* The result's tensor of this name. */
static sm1rt_tensor find(const sm1rt_result *result, const char *name) {
  sm1rt_tensor tensor;
  for (size_t index = 0; sm1rt_result_tensor(result, index, &tensor) == 0; ++index)
    if (strcmp(tensor.name, name) == 0)
      return tensor;
  fprintf(stderr, "layer: the package has no output '%s'\n", name);
  exit(1);
}

/* Runs rows [batch, time, width] from the states that an earlier result ended with; NULL: from zero. */
static sm1rt_result *run(sm1rt_model *model, const float *rows, int64_t time, const sm1rt_result *before) {
  int64_t shape[] = {batch, time, sm1rt_input_width(model, 0)};
  sm1rt_tensor inputs[1 + most_states] = {{sm1rt_input_name(model, 0), SM1RT_F32, 3, shape, rows}};
  char names[most_states][256];
  size_t count = 1;
  for (size_t state = 0; before && state < sm1rt_state_count(model) && state < most_states; ++state) {
    sm1rt_tensor described;
    if (sm1rt_state(model, state, &described) != 0)
      must(NULL);
    snprintf(names[state], sizeof names[state], "state_out.%s", described.name);
    inputs[count] = find(before, names[state]);
    snprintf(names[state], sizeof names[state], "state_in.%s", described.name);
    inputs[count++].name = names[state];
  }
  return must(sm1rt_call(model, "prefill", inputs, count, NULL, 0));
}

/* Rows begin to end-1 of every sequence of [batch, time, width]. */
static float *rows_of(const float *all, int64_t time, int64_t width, int64_t begin, int64_t end) {
  size_t part = (size_t)((end - begin) * width);
  float *copy = must(malloc(batch * part * sizeof(float)));
  for (int64_t sequence = 0; sequence < batch; ++sequence)
    memcpy(copy + (size_t)sequence * part, all + (sequence * time + begin) * width, part * sizeof(float));
  return copy;
}

int main(int argc, char **argv) {
  int64_t time = argc > 2 ? strtoll(argv[2], NULL, 10) : 32;
  if (argc < 2 || time < 2)
    return fprintf(stderr, "usage: layer PACKAGE [TIME of at least 2]\n"), 2;
  sm1rt_model *model = must(sm1rt_open(argv[1], NULL));
  if (sm1rt_input_count(model) != 1 || sm1rt_output_count(model) != 1)
    return fprintf(stderr, "layer: the package is not one layer, from rows to rows\n"), 1;
  int64_t width = sm1rt_input_width(model, 0);
  float *x = must(malloc((size_t)(batch * time * width) * sizeof(float)));
  for (int64_t i = 0; i < batch * time * width; ++i)
    x[i] = (float)sin((double)i * 0.37);

  sm1rt_result *whole = run(model, x, time, NULL);
  int64_t cut = time / 3 + 1;
  float *first_rows = rows_of(x, time, width, 0, cut), *last_rows = rows_of(x, time, width, cut, time);
  sm1rt_result *first = run(model, first_rows, cut, NULL), *last = run(model, last_rows, time - cut, first);

  const char *output = sm1rt_output_name(model, 0);
  int64_t out_width = sm1rt_output_width(model, 0);
  const float *y = find(whole, output).data;
  float *expected = rows_of(y, time, out_width, cut, time);
  int same = memcmp(expected, find(last, output).data, (size_t)(batch * (time - cut) * out_width) * sizeof(float)) == 0;
  double sum = 0;
  for (int64_t i = 0; i < batch * time * out_width; ++i)
    sum += (double)y[i] * y[i];
  printf("%s on %s\n", argv[1], sm1rt_device_name(model));
  printf("%s [%d, %lld, %lld], norm %.6g; in two parts: %s\n", output, batch, (long long)time, (long long)out_width, sqrt(sum),
         same ? "the same bits" : "other bits");

  free(expected);
  free(first_rows);
  free(last_rows);
  free(x);
  sm1rt_result_free(first);
  sm1rt_result_free(last);
  sm1rt_result_free(whole);
  sm1rt_model_free(model);
  return !same || !(sum > 0);
}
