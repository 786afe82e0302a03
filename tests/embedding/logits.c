/* A program outside of the project, as small as one can be: logits PACKAGE CHUNK TOKEN... writes the logits of every token to
 * standard output, F32 [tokens, vocabulary], run in pieces of CHUNK tokens. */
#include <sm1rt/sm1rt.h>

#include <stdio.h>
#include <stdlib.h>

static int failed(void) {
  fprintf(stderr, "%s\n", sm1rt_last_error());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4)
    return 2;
  int64_t chunk = atoll(argv[2]), count = argc - 3;
  int32_t *tokens = malloc((size_t)count * sizeof(int32_t));
  for (int64_t i = 0; tokens && i < count; ++i)
    tokens[i] = (int32_t)atoi(argv[3 + i]);
  sm1rt_model *model = sm1rt_open(argv[1], NULL);
  sm1rt_sequence *sequence = model ? sm1rt_sequence_new(model) : NULL;
  if (!tokens || !sequence)
    return failed();
  for (int64_t begin = 0; begin < count; begin += chunk) {
    int64_t length = begin + chunk < count ? chunk : count - begin;
    sm1rt_result *result = sm1rt_prefill(model, &sequence, 1, tokens + begin, &length, 1);
    if (!result)
      return failed();
    fwrite(sm1rt_result_values(result), sizeof(float), (size_t)(length * sm1rt_output_width(model, 0)), stdout);
    sm1rt_result_free(result);
  }
  sm1rt_sequence_free(sequence);
  sm1rt_model_free(model);
  free(tokens);
  return 0;
}
