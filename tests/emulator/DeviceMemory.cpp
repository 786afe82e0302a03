// Allocations are mappings of their own: freed addresses stay reserved, so that using them is told from using no memory at all.
#include "DeviceMemory.h"

#include "Cuda.h"
#include "Marks.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>

namespace emulator {

namespace {
constexpr uint64_t kGap = 64 << 10;   // unmapped bytes behind an allocation
constexpr uint64_t kAlignment = 256;  // what cuMemAlloc promises
constexpr uint64_t kFreedKept = 4096; // freed allocations that are remembered

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

/// How far the range has to move so that no address there, or near it, has a mark for its low word; 0: not at all.
uint64_t distanceFromMarks(const void *begin, uint64_t bytes) {
  uint64_t place = (reinterpret_cast<uint64_t>(begin) - kGap - kMark) & 0xffffffff, cycle = 1ull << 32;
  if (place < kMarks)
    return kMarks - place;
  return place + bytes + 2 * kGap > cycle ? cycle + kMarks - place : 0;
}

} // namespace

DeviceMemory::~DeviceMemory() {
  for (auto &entry : allocations)
    unmap(entry.second);
}

void DeviceMemory::unmap(Allocation &allocation) {
  if (!allocation.pinned)
    munmap(allocation.mapping, allocation.mappingBytes);
}

uint64_t DeviceMemory::allocate(uint64_t bytes, bool constant) {
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes == 0 || bytes > capacity - used)
    return 0;
  Allocation allocation;
  allocation.bytes = bytes;
  // Room to move, which nobody touches.
  allocation.mappingBytes = 2 * bytes + 4 * kGap + kMarks;
  allocation.mapping =
      mmap(nullptr, allocation.mappingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (allocation.mapping == MAP_FAILED)
    return 0;
  allocation.host = static_cast<uint8_t *>(allocation.mapping) + kGap;
  allocation.host += distanceFromMarks(allocation.host, bytes) + kAlignment;
  allocation.address = reinterpret_cast<uint64_t>(allocation.host) + kDeviceOffset;
  allocation.constant = constant;
  if (initcheck && !constant)
    allocation.written = std::make_unique<uint8_t[]>(bytes);
  // The first bytes are poison: a kernel that relies on zeroed memory is wrong on a device.
  std::memset(allocation.host, 0xCD, std::min<uint64_t>(bytes, 1 << 20));
  used += bytes;
  uint64_t address = allocation.address;
  allocations[address] = std::move(allocation);
  return address;
}

bool DeviceMemory::release(uint64_t address) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = allocations.find(address);
  if (found == allocations.end() || !found->second.live)
    return false;
  Allocation &allocation = found->second;
  allocation.live = false;
  allocation.written.reset();
  used -= allocation.bytes;
  madvise(allocation.mapping, allocation.mappingBytes, MADV_DONTNEED);
  if (allocations.size() > kFreedKept)
    for (auto entry = allocations.begin(); entry != allocations.end(); ++entry)
      if (!entry->second.live) {
        unmap(entry->second);
        allocations.erase(entry);
        break;
      }
  return true;
}

uint64_t DeviceMemory::mapPinned(uint8_t *host, uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  Allocation allocation;
  allocation.address = reinterpret_cast<uint64_t>(host) + kDeviceOffset;
  allocation.bytes = bytes;
  allocation.host = host;
  allocation.pinned = true;
  uint64_t address = allocation.address;
  allocations[address] = std::move(allocation);
  return address;
}

void DeviceMemory::forgetPinned(uint8_t *host) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = allocations.find(reinterpret_cast<uint64_t>(host) + kDeviceOffset);
  if (found != allocations.end() && found->second.pinned)
    allocations.erase(found);
}

bool DeviceMemory::isSharedWithHost() {
  std::lock_guard<std::mutex> lock(mutex);
  return std::any_of(allocations.begin(), allocations.end(), [](const auto &entry) { return entry.second.pinned; });
}

Allocation *DeviceMemory::find(uint64_t address) {
  std::lock_guard<std::mutex> lock(mutex);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin())
    return nullptr;
  Allocation &allocation = std::prev(next)->second;
  return address - allocation.address < allocation.bytes ? &allocation : nullptr;
}

uint8_t *DeviceMemory::host(uint64_t address, uint64_t bytes) {
  Allocation *allocation = find(address);
  if (!allocation || !allocation->live || bytes > allocation->bytes - (address - allocation->address))
    return nullptr;
  return allocation->host + (address - allocation->address);
}

uint8_t *DeviceMemory::hostForCopy(uint64_t address, uint64_t bytes, bool written) {
  uint8_t *memory = host(address, bytes);
  if (memory && written) {
    Allocation &allocation = *find(address);
    if (allocation.written)
      std::memset(allocation.written.get() + (address - allocation.address), kEarlier, bytes);
  }
  return memory;
}

void DeviceMemory::copyShadow(uint64_t to, uint64_t from, uint64_t bytes) {
  Allocation *target = find(to), *source = find(from);
  if (target && source && target->written && source->written)
    std::memmove(target->written.get() + (to - target->address), source->written.get() + (from - source->address), bytes);
}

void DeviceMemory::beginLaunch() {
  if (++launchMark < kEarlier)
    return;
  launchMark = 1; // was some other launch's
  std::lock_guard<std::mutex> lock(mutex);
  for (auto &[address, allocation] : allocations)
    for (uint64_t i = 0; allocation.written && i < allocation.bytes; ++i)
      allocation.written[i] = allocation.written[i] ? kEarlier : 0;
}

uint8_t *GlobalAccess::slow(Entry &entry, uint64_t address, unsigned bytes, AccessKind kind, int &error, std::string &what) {
  bool writes = kind == AccessKind::Write || kind == AccessKind::Atomic;
  std::string range = (writes ? "write of " : "read of ") + std::to_string(bytes) + " bytes at global address " + hex(address);
  error = CUDA_ERROR_ILLEGAL_ADDRESS;
  Allocation *allocation = memory.find(address);
  if (!allocation) {
    what = range + ", which is in no allocation";
    return nullptr;
  }
  uint64_t offset = address - allocation->address;
  uint8_t *shadow = allocation->written ? allocation->written.get() + offset : nullptr;
  if (!allocation->live)
    what = range + ", which was freed (offset " + std::to_string(offset) + " of " + std::to_string(allocation->bytes) + " bytes)";
  else if (bytes > allocation->bytes - offset)
    what = range + " ends past the allocation (offset " + std::to_string(offset) + " of " + std::to_string(allocation->bytes) +
           " bytes)";
  else if (allocation->constant && writes)
    what = range + ", which is constant memory";
  else if (address & (bytes - 1)) {
    error = CUDA_ERROR_MISALIGNED_ADDRESS;
    what = "misaligned " + range;
  } else if (shadow && !initialized(shadow, bytes, kind)) {
    error = CUDA_ERROR_LAUNCH_FAILED;
    what = range + (holds(shadow, bytes, 0) ? ", which nobody has written" : " by ld.global.nc, but this launch has written it") +
           " (offset " + std::to_string(offset) + ")";
  } else {
    entry = {allocation->address, allocation->bytes, allocation->written.get(), allocation->constant};
    return allocation->host + offset;
  }
  return nullptr;
}

} // namespace emulator
