// Reads node*/cpulist and cpu*/topology/thread_siblings_list of sysfs.

#include "llmir/Device/CPUTopology.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

namespace llmir {

namespace {

std::string readLine(const std::filesystem::path &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<int> parseNumber(std::string_view text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0)
    return std::nullopt;
  return number;
}

/// The number of a folder called `prefix` and a number.
std::optional<int> numberOf(const std::filesystem::path &path, std::string_view prefix) {
  std::string name = path.filename().string();
  if (!name.starts_with(prefix))
    return std::nullopt;
  return parseNumber(std::string_view(name).substr(prefix.size()));
}

/// A node's CPUs in the order in which workers take them.
struct NodeCPUs {
  std::vector<int> cpus;
  size_t taken = 0;
};

} // namespace

std::vector<int> parseCPUList(std::string_view text) {
  constexpr int mostCPUs = 1 << 20;
  std::vector<int> cpus;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view range = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    size_t dash = std::min(range.find('-'), range.size());
    std::optional<int> first = parseNumber(range.substr(0, dash));
    std::optional<int> last = dash == range.size() ? first : parseNumber(range.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= mostCPUs)
      return {};
    for (int cpu = *first; cpu <= *last; ++cpu)
      cpus.push_back(cpu);
  }
  return cpus;
}

CPUTopology CPUTopology::read(const std::string &root) {
  CPUTopology topology;
  std::error_code error;
  for (const auto &entry : std::filesystem::directory_iterator(root + "/node", error))
    if (std::optional<int> node = numberOf(entry.path(), "node"))
      for (int cpu : parseCPUList(readLine(entry.path() / "cpulist")))
        topology.nodes_[cpu] = *node;
  for (const auto &entry : std::filesystem::directory_iterator(root + "/cpu", error))
    if (std::optional<int> cpu = numberOf(entry.path(), "cpu")) {
      std::vector<int> siblings =
          parseCPUList(readLine(entry.path() / "topology" / "thread_siblings_list"));
      if (!siblings.empty())
        topology.cores_[*cpu] = *std::min_element(siblings.begin(), siblings.end());
    }
  return topology;
}

int CPUTopology::nodeOf(int cpu) const {
  auto found = nodes_.find(cpu);
  return found == nodes_.end() ? 0 : found->second;
}

int CPUTopology::coreOf(int cpu) const {
  auto found = cores_.find(cpu);
  return found == cores_.end() ? cpu : found->second;
}

std::vector<int> chooseCPUs(std::span<const int> available, const CPUTopology &topology,
                            int32_t workers) {
  std::map<int, std::vector<std::pair<int, int>>> byNode; // (how many of its core come before, CPU)
  std::map<int, int> seenOfCore;
  for (int cpu : available)
    byNode[topology.nodeOf(cpu)].emplace_back(seenOfCore[topology.coreOf(cpu)]++, cpu);
  std::vector<NodeCPUs> nodes;
  for (auto &[node, ranked] : byNode) {
    std::sort(ranked.begin(), ranked.end());
    NodeCPUs &entry = nodes.emplace_back();
    for (auto [rank, cpu] : ranked)
      entry.cpus.push_back(cpu);
  }
  // One more for the node of whose CPUs the smallest share is taken.
  auto isLess = [](const NodeCPUs &a, const NodeCPUs &b) {
    return a.taken * b.cpus.size() < b.taken * a.cpus.size();
  };
  size_t count = std::min(available.size(), static_cast<size_t>(std::max(workers, 0)));
  for (size_t i = 0; i < count; ++i)
    ++std::min_element(nodes.begin(), nodes.end(), isLess)->taken;
  std::vector<int> chosen;
  for (const NodeCPUs &node : nodes)
    chosen.insert(chosen.end(), node.cpus.begin(),
                  node.cpus.begin() + static_cast<std::ptrdiff_t>(node.taken));
  return chosen;
}

} // namespace llmir
