# The Debian packages this project needs, and their installation. Sourced after progress.sh.

compilerPackages=(libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools)
buildPackages=(cmake ninja-build g++ pkg-config ccache libfmt-dev nlohmann-json3-dev libcli11-dev libsmf-dev libgtest-dev)
testPackages=(python3 python3-numpy binutils)

# installed PACKAGE: true if dpkg has it, whole
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# missingPackages: prints those that are not installed; reads the system, not the network
missingPackages() {
  local package
  for package in "${compilerPackages[@]}" "${buildPackages[@]}" "${testPackages[@]}"; do
    installed "$package" || printf '%s ' "$package"
  done
}

# asRoot COMMAND...: as root, or through sudo
asRoot() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "installing packages needs root: run this as root, or install sudo, or run first: apt-get install $missing"
  fi
}

aptGet() { asRoot env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"; }

# installPackages: apt-get for what is missing, nothing (and no network) when all is there
installPackages() {
  if ! command -v dpkg-query >/dev/null; then
    fail "this is not Debian; install LLVM and MLIR 22.1 (shared libraries, headers, FileCheck, lit), CMake 3.22, Ninja, a C++17 \
compiler, fmt, nlohmann-json, CLI11, libsmf, GoogleTest and python3 with numpy, then: cmake --preset release && \
cmake --build --preset release"
  fi
  missing=$(missingPackages)
  [ -z "$missing" ] && return
  phase "installing $(wc -w <<<"$missing") packages: $missing"
  logged apt-update aptGet update
  if ! apt-cache show libmlir-22-dev >/dev/null 2>&1; then
    fail "apt knows no libmlir-22-dev; on Debian 12 it is in bookworm-security main: add that suite to /etc/apt/sources.list \
and try again"
  fi
  # shellcheck disable=SC2086  # one word per package
  logged apt-install aptGet install -y --no-install-recommends $missing
}
