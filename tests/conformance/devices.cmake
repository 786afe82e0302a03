# The suite on GPUs: on the emulator in every run, at small sizes; on a real GPU (`ctest -L cuda`, tools/test-gpu) at full ones. A machine
# without one shows each of those as skipped.
set(SM1_GPU_TEST_TARGET sm_90 CACHE STRING "What tests compile GPU packages for; an older GPU wants its own chip's name")

# sm1_on_devices(NAME SECONDS SCRIPT [ARGS...] [EMULATED ARGS...]): NAME.emulated, with the arguments behind EMULATED, and NAME.cuda, from
# the fixtures in the variable `fixtures`.
function(sm1_on_devices name seconds script)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "EMULATED")
  sm1_conformance(${name}.emulated "quick;emulated" ${seconds} ${script} ${arg_UNPARSED_ARGUMENTS} ${arg_EMULATED}
    --device=emulated --target=${SM1_GPU_TEST_TARGET} --emulator "$<TARGET_FILE:sm1-emulated-cuda>")
  sm1_conformance(${name}.cuda cuda 1500 ${script} ${arg_UNPARSED_ARGUMENTS} --device=cuda --target=${SM1_GPU_TEST_TARGET})
endfunction()

set(models tiny-a tiny-b tiny-c tiny-d)
set(gpuTargets "--target=native,${SM1_GPU_TEST_TARGET}")
# Of a CPU one level, to compare bits with: those of the others are compared among each other.
set(cubin "--cubin-for=${SM1_GPU_TEST_TARGET}")
set(oneCpu "--target=x86-64-v3,${SM1_GPU_TEST_TARGET}")
foreach(model ${models})
  sm1_package(${model}-gpu "quick;emulated;cuda" "${golden}/${model}" ${oneCpu} ${cubin})
endforeach()
sm1_package(tiny-a-gpu-bf16 "quick;emulated;cuda" "${golden}/tiny-a" "--target=${SM1_GPU_TEST_TARGET}" --weights=bf16 --compute=bf16
  ${cubin})

# As many positions as cross a block's rows in a batch, and no more: the emulator takes its time.
set(enough 1 35 40 20)
foreach(model positions IN ZIP_LISTS models enough)
  set(fixtures ${model}-gpu)
  sm1_on_devices(goldens.${model} 1200 goldens.py --package "${SM1_PACKAGES}/${model}-gpu.sm1pkg"
    --golden "${golden}/${model}/expected.safetensors" EMULATED --positions=${positions})
endforeach()
foreach(model mamba-1 mamba-16)
  sm1_package(${model}-gpu "quick;emulated;cuda" "${golden}/${model}" ${oneCpu} ${cubin})
  set(fixtures ${model}-gpu)
  sm1_on_devices(goldens.${model} 1200 goldens.py --package "${SM1_PACKAGES}/${model}-gpu.sm1pkg"
    --golden "${golden}/${model}/expected.safetensors")
endforeach()
set(fixtures tiny-d-gpu)
sm1_on_devices(batching.tiny-d 1200 batching.py --package "${SM1_PACKAGES}/tiny-d-gpu.sm1pkg" --vocab 130)
set(fixtures tiny-a-gpu-bf16)
sm1_on_devices(batching.tiny-a-bf16 600 batching.py --package "${SM1_PACKAGES}/tiny-a-gpu-bf16.sm1pkg" --vocab 37 --compute=bf16)

# The same with the instructions of one chip. Where tests compile for another, there is none.
if(SM1_GPU_TEST_TARGET STREQUAL sm_90)
  sm1_package(tiny-a-wgmma "quick;emulated;cuda" "${golden}/tiny-a" --target=sm_90,sm_90a --weights=bf16 --compute=bf16)
  sm1_package(tiny-a-wgmma-whole "quick;emulated;cuda" "${golden}/tiny-a" --target=sm_90,sm_90a --weights=bf16 --compute=bf16
    --no-fuse=sm1-fuse-norm-halves --variants=none ${cubin})
  set(fixtures tiny-a-wgmma)
  sm1_on_devices(batching.tiny-a-wgmma 600 batching.py --package "${SM1_PACKAGES}/tiny-a-wgmma.sm1pkg" --vocab 37 --compute=bf16)
  list(APPEND fixtures tiny-a-wgmma-whole)
  sm1_on_devices(wgmma 600 wgmma.py --package "${SM1_PACKAGES}/tiny-a-wgmma.sm1pkg" --whole "${SM1_PACKAGES}/tiny-a-wgmma-whole.sm1pkg"
    --vocab 37)
  set(fixtures)
  sm1_on_devices(bf16-schedules 600 bf16_schedules.py)
  sm1_on_devices(scan-chunks 600 scan_chunks.py)
  sm1_on_devices(clusters 600 clusters.py)
  sm1_on_devices(long-prompts 600 long_prompts.py)
endif()
set(fixtures)
sm1_on_devices(fp8 600 fp8.py --model "${golden}/tiny-d" --vocab 130)

# sm1-bench, with a library in the place of NVIDIA's that tells of energy.
add_library(sm1-fake-nvml MODULE FakeNvml.c)
set(fixtures tiny-a-gpu-bf16)
sm1_on_devices(bench-gpu 300 bench_gpu.py --package "${SM1_PACKAGES}/tiny-a-gpu-bf16.sm1pkg" --nvml "$<TARGET_FILE:sm1-fake-nvml>")

# Whole tokens in one launch; on the emulator also on a chip whose blocks have less shared memory, which has a kernel of its own for four.
foreach(model ${models})
  set(targets "${SM1_GPU_TEST_TARGET}")
  set(small "")
  if(model STREQUAL tiny-d)
    string(APPEND targets ",sm_120")
    set(small --small-chip)
  endif()
  sm1_package(${model}-token "quick;emulated;cuda" "${golden}/${model}" "--target=${targets}" --weights=bf16 --compute=bf16
    --variants=none ${cubin})
  set(fixtures ${model}-token)
  sm1_on_devices(tokens.${model} 600 tokens.py --package "${SM1_PACKAGES}/${model}-token.sm1pkg"
    --golden "${golden}/${model}/expected.safetensors" EMULATED --positions=4 ${small})
endforeach()
set(fixtures "")
sm1_on_devices(token-edges 900 token_edges.py)
set(integerWeights int8 int4)
set(integerBounds 1e-2 1e-2)
# Vectors are rounded to bf16, and weights of 4 bits times their scale.
foreach(weights bound IN ZIP_LISTS integerWeights integerBounds)
  sm1_package(tiny-d-${weights}-token "quick;emulated;cuda" "${golden}/tiny-d" ${oneCpu} --weights=${weights} --variants=none ${cubin})
  set(fixtures tiny-d-${weights}-token)
  sm1_on_devices(tokens.tiny-d-${weights} 600 tokens.py --package "${SM1_PACKAGES}/tiny-d-${weights}-token.sm1pkg" --integers=${bound}
    --golden "${golden}/tiny-d/expected.safetensors" EMULATED --positions=4)
endforeach()
add_test(NAME orders.emulated COMMAND sm1-orders-test cuda "${SM1_PACKAGES}/tiny-d-token.sm1pkg")
set_tests_properties(orders.emulated PROPERTIES LABELS "quick;emulated"
  ENVIRONMENT "SM1_CUDA_DRIVER=$<TARGET_FILE:sm1-emulated-cuda>;SM1_EMULATOR_SMS=4")
add_test(NAME orders.cuda COMMAND sm1-orders-test cuda "${SM1_PACKAGES}/tiny-d-token.sm1pkg")
set_tests_properties(orders.cuda PROPERTIES LABELS cuda)
set_tests_properties(orders.emulated orders.cuda PROPERTIES TIMEOUT 300 FIXTURES_REQUIRED tiny-d-token SKIP_RETURN_CODE 77)

# Prompts that come again as graphs.
add_executable(sm1-replays-test ReplaysTest.cpp PlantedGraphs.cpp)
target_include_directories(sm1-replays-test PRIVATE "${PROJECT_SOURCE_DIR}/runtime/src")
target_link_libraries(sm1-replays-test PRIVATE sm1rt fmt::fmt GTest::gtest)
function(sm1_replays_test name target fixture)
  add_test(NAME replays.${name} COMMAND sm1-replays-test cuda ${target} "${SM1_PACKAGES}/${fixture}.sm1pkg")
  set_tests_properties(replays.${name} PROPERTIES LABELS cuda TIMEOUT 300 FIXTURES_REQUIRED ${fixture} SKIP_RETURN_CODE 77)
  if(name MATCHES emulated)
    set_tests_properties(replays.${name} PROPERTIES LABELS "quick;emulated"
      ENVIRONMENT "SM1_CUDA_DRIVER=$<TARGET_FILE:sm1-emulated-cuda>;SM1_EMULATOR_LAZY=1")
  endif()
endfunction()
sm1_replays_test(f32.emulated ${SM1_GPU_TEST_TARGET} tiny-d-gpu)
sm1_replays_test(f32.cuda ${SM1_GPU_TEST_TARGET} tiny-d-gpu)
if(SM1_GPU_TEST_TARGET STREQUAL sm_90)
  sm1_replays_test(bf16.emulated sm_90a tiny-a-wgmma)
  sm1_replays_test(bf16.cuda sm_90 tiny-a-wgmma)
  sm1_replays_test(bf16-wgmma.cuda sm_90a tiny-a-wgmma)
endif()

set(fixtures "")
sm1_on_devices(goldens.scan 1200 scan.py --spec "${specs}/scan.mlir")
sm1_on_devices(goldens.layer 1200 layer.py --spec "${specs}/sm1-layer.mlir")
sm1_on_devices(math-functions 1200 math_functions.py)
sm1_on_devices(mutations 1200 mutations.py)
foreach(relative ${relatives})
  sm1_on_devices(relatives.${relative} 1200 relatives.py --spec "${specs}/${relative}.mlir")
endforeach()
sm1_on_devices(relatives.mamba 1200 relatives.py --spec "${golden}/mamba-16" --model mamba --vocab 61)
sm1_on_devices(states-of-channels 1200 states_of_channels.py)
sm1_on_devices(relatives.selective-scan 1200 selective_scan.py --spec "${specs}/selective-scan.mlir")
sm1_on_devices(storage 1200 storage.py --checkpoint "${chorales}")
sm1_on_devices(shapes 1200 shapes.py)
sm1_conformance(shapes quick 300 shapes.py)

# What only the emulator can show: races and planted bugs. What the first one compiles, every description, is assembled, too.
set(onEmulator --device=emulated --target=${SM1_GPU_TEST_TARGET} --emulator "$<TARGET_FILE:sm1-emulated-cuda>")
sm1_conformance(kernels.emulated "quick;emulated" 1200 kernels.py ${onEmulator})
set_tests_properties(kernels.emulated PROPERTIES ENVIRONMENT "SM1_TEST_PTXAS=run")
sm1_conformance(planted.emulated "quick;emulated" 1200 planted.py ${onEmulator})

# PTX as text, and registers, shared memory and spills by ptxas: the trained model's; of everything with `ctest -C long -R
# ptx-static.all`.
sm1_conformance(ptx-static quick 600 ptx_static.py --few)
add_test(NAME ptx-static.all COMMAND "${SM1_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/ptx_static.py" --bin "${bin}"
  --work "${CMAKE_CURRENT_BINARY_DIR}/ptx-static.all" CONFIGURATIONS long)
sm1_conformance(token-static quick 600 token_static.py)

# The trained model on a GPU: bf16 by bf16, and f32 weights for the tokens. Without a GPU, ptx-static and compile-time have their kernels.
set(forGpu "--for-gpu=${SM1_GPU_TEST_TARGET}")
sm1_package(chorales-gpu cuda "${chorales}" ${gpuTargets} ${forGpu})
sm1_package(chorales-gpu-f32 cuda "${chorales}" ${gpuTargets} --weights=f32 ${forGpu})
sm1_package(chorales-gpu-closed-form cuda "${chorales}" ${gpuTargets} --form=closed_form --compute=f32 ${forGpu})
set(fixtures chorales-gpu chorales-gpu-f32 chorales-gpu-closed-form)
sm1_conformance(score.chorales.cuda cuda 900 score.py --checkpoint "${chorales}" --exact "${SM1_PACKAGES}/chorales-gpu.sm1pkg"
  --greedy "${SM1_PACKAGES}/chorales-gpu-f32.sm1pkg" --closed-form "${SM1_PACKAGES}/chorales-gpu-closed-form.sm1pkg" --device=cuda
  --target=${SM1_GPU_TEST_TARGET})
sm1_conformance(states.cuda cuda 900 states.py --package "${SM1_PACKAGES}/chorales-gpu-f32.sm1pkg" --checkpoint "${chorales}" --device=cuda
  --target=${SM1_GPU_TEST_TARGET})

# The published configuration on a GPU, f32 to float64.
sm1_package(full-130m-gpu cuda "${full}" --weights-in=external ${gpuTargets} ${forGpu})
set_tests_properties(package.full-130m-gpu PROPERTIES FIXTURES_REQUIRED full-130m-checkpoint)
set(fixtures full-130m-checkpoint full-130m-gpu)
sm1_conformance(goldens.full-130m.cuda cuda 1500 goldens.py --package "${SM1_PACKAGES}/full-130m-gpu.sm1pkg"
  --golden "${golden}/full-130m.safetensors" --few --device=cuda --target=${SM1_GPU_TEST_TARGET} -- "--params=${full}")
