// Device memory: allocations at addresses that are no host addresses, with gaps between them, and a shadow of what was written.
#ifndef EMULATOR_DEVICE_MEMORY_H
#define EMULATOR_DEVICE_MEMORY_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace emulator {

enum class AccessKind : uint8_t { Read, ReadConstant, Write, Atomic };

/// Device address = host address + this, so that a host that follows a device pointer (or the reverse) is noticed.
constexpr uint64_t kDeviceOffset = 1ull << 52;

struct Allocation {
  uint64_t address = 0; // device
  uint64_t bytes = 0;
  uint8_t *host = nullptr;
  bool live = true, constant = false, pinned = false;
  std::unique_ptr<uint8_t[]> written; // with initcheck: per byte 0, or 1 + number of the last writing launch modulo 255
  void *mapping = nullptr;
  size_t mappingBytes = 0;
};

class DeviceMemory {
public:
  static constexpr uint8_t kEarlier = 255;

  DeviceMemory(uint64_t capacity, bool initcheck) : capacity(capacity), initcheck(initcheck) {}
  ~DeviceMemory();

  /// 0 when `bytes` do not fit. Addresses are multiples of 256 and of nothing more.
  uint64_t allocate(uint64_t bytes, bool constant = false);
  /// False when no live allocation starts at `address`.
  bool release(uint64_t address);
  /// Makes pinned memory of the host readable and writable by kernels; its device address. Undone by forgetPinned.
  uint64_t mapPinned(uint8_t *host, uint64_t bytes);
  void forgetPinned(uint8_t *host);
  /// Whether a kernel may wait for what the host writes while it runs.
  bool isSharedWithHost();
  /// The allocation, live or freed, that contains `address`; nullptr if there is none.
  Allocation *find(uint64_t address);
  /// Host memory of a range that lies in one live allocation; nullptr otherwise.
  uint8_t *host(uint64_t address, uint64_t bytes);
  /// Host and shadow of a copy by the driver; `written` marks the destination.
  uint8_t *hostForCopy(uint64_t address, uint64_t bytes, bool written);
  /// With initcheck: copies what is known of the bytes along with them.
  void copyShadow(uint64_t to, uint64_t from, uint64_t bytes);
  /// What is written from now on is the next launch's.
  void beginLaunch();
  uint64_t freeBytes() const { return capacity - used; }

  const uint64_t capacity;
  const bool initcheck;
  uint8_t launchMark = 1; // in the shadow of what the launch writes; kEarlier is everybody else's

private:
  void unmap(Allocation &allocation);
  std::map<uint64_t, Allocation> allocations;
  uint64_t used = 0;
  std::mutex mutex;
};

/// Whether one of `bytes` bytes, a power of two, is `value`.
inline bool holds(const uint8_t *from, unsigned bytes, uint8_t value) {
  if (bytes < 4)
    return from[0] == value || from[bytes - 1] == value;
  constexpr uint32_t ones = 0x01010101;
  for (const uint8_t *end = from + bytes; from != end; from += sizeof(uint32_t)) {
    uint32_t word;
    std::memcpy(&word, from, sizeof word);
    word ^= ones * value;
    if ((word - ones) & ~word & ones << 7)
      return true;
  }
  return false;
}
/// Sets as many bytes; memset would be a call.
inline void fill(uint8_t *to, unsigned bytes, uint8_t value) {
  if (bytes < 4) {
    to[0] = to[bytes - 1] = value;
    return;
  }
  uint32_t word = 0x01010101u * value;
  for (uint8_t *end = to + bytes; to != end; to += sizeof word)
    std::memcpy(to, &word, sizeof word);
}

/// Accesses of a kernel, with the allocations that it used last at hand.
class GlobalAccess {
public:
  explicit GlobalAccess(DeviceMemory &memory) : memory(memory) {}
  /// Host memory of the access; on failure nullptr, and `error` and `what` say why.
  uint8_t *access(uint64_t address, unsigned bytes, AccessKind kind, int &error, std::string &what) {
    uint8_t *host = quick(address, bytes, kind);
    return host ? host : slow(entryOf(address), address, bytes, kind, error, what);
  }
  /// The same of an access that lies in the allocation that was used last at such addresses, and is fine; nullptr of any other.
  uint8_t *quick(uint64_t address, unsigned bytes, AccessKind kind) {
    const Entry &entry = entryOf(address);
    uint64_t offset = address - entry.address;
    if (offset <= entry.bytes && bytes <= entry.bytes - offset && !(address & (bytes - 1)) &&
        !(entry.constant && kind != AccessKind::Read && kind != AccessKind::ReadConstant) &&
        (!entry.written || initialized(entry.written + offset, bytes, kind)))
      return reinterpret_cast<uint8_t *>(address - kDeviceOffset);
    return nullptr;
  }
  /// Host memory of all bytes from `address` on if each may be read; nullptr tells nothing about any of them.
  const uint8_t *quickRange(uint64_t address, uint64_t bytes, AccessKind kind) {
    const Entry &entry = entryOf(address);
    uint64_t offset = address - entry.address;
    if (offset > entry.bytes || bytes > entry.bytes - offset)
      return nullptr;
    uint8_t unwritten = 0, never = kind == AccessKind::ReadConstant ? memory.launchMark : unwritten, bad = 0;
    for (uint64_t i = 0; entry.written && i < bytes; ++i)
      bad |= uint8_t(entry.written[offset + i] == unwritten) | uint8_t(entry.written[offset + i] == never);
    return bad ? nullptr : reinterpret_cast<const uint8_t *>(address - kDeviceOffset);
  }

private:
  struct Entry {
    uint64_t address = 1, bytes = 0;
    uint8_t *written = nullptr; // the allocation's
    bool constant = false;
  };
  Entry &entryOf(uint64_t address) { return entries[(address >> 12) % entries.size()]; }
  uint8_t *slow(Entry &entry, uint64_t address, unsigned bytes, AccessKind kind, int &error, std::string &what);
  /// Whether the bytes may be read, by their shadow; marks those that are written.
  bool initialized(uint8_t *shadow, unsigned bytes, AccessKind kind) {
    if (kind == AccessKind::Write) {
      fill(shadow, bytes, memory.launchMark);
      return true;
    }
    return !holds(shadow, bytes, 0) && !(kind == AccessKind::ReadConstant && holds(shadow, bytes, memory.launchMark));
  }
  DeviceMemory &memory;
  std::array<Entry, 64> entries;
};

} // namespace emulator

#endif // EMULATOR_DEVICE_MEMORY_H
