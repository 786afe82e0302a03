# Configuring and building the release preset into build/. Sourced after progress.sh and packages.sh.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
log=$build/log

# Compilation units over MLIR's headers take up to 0.9 GB each, so memory bounds the jobs, not only cores.
buildJobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 1000000)}' /proc/meminfo)
  [ "$memory" -lt 1 ] && memory=1
  echo $((cores < memory ? cores : memory))
}

# buildRelease [TARGET...]: from nothing to build/bin, all targets when none is named; with nothing to do it takes a second
buildRelease() {
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  mkdir -p "$log"
  installPackages
  cd "$root"
  phase 'configuring the release preset into build/'
  logged configure cmake --preset release
  phase "building with $(buildJobs) jobs"
  logged build cmake --build --preset release --parallel "$(buildJobs)" "${targets[@]}"
}
