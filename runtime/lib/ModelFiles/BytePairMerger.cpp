// Implements byte-pair merging with a doubly linked list of symbols and a heap of candidate pairs.

#include "BytePairMerger.h"

#include "llmir/Base/UTF8.h"

#include <algorithm>
#include <deque>

namespace llmir {

static bool isPrintableByte(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/// The code points of all bytes: the unprintable ones take U+0100 and up, in order.
static std::array<char32_t, 256> makePrintableTable() {
  std::array<char32_t, 256> table{};
  char32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte)
    table[byte] = isPrintableByte(byte) ? byte : next++;
  return table;
}

static const std::array<char32_t, 256> &printableTable() {
  static const std::array<char32_t, 256> table = makePrintableTable();
  return table;
}

char32_t toPrintable(uint8_t byte) { return printableTable()[byte]; }

bool fromPrintable(std::string_view printable, std::string &bytes) {
  const std::array<char32_t, 256> &table = printableTable();
  for (size_t position = 0; position < printable.size();) {
    UTF8Step step = nextUTF8(printable, position);
    if (step.kind != UTF8Kind::Character)
      return false;
    char32_t codePoint = step.codePoint;
    if (codePoint < 256 && isPrintableByte(codePoint)) {
      bytes += static_cast<char>(codePoint);
    } else {
      auto found = std::find(table.begin(), table.end(), codePoint);
      if (found == table.end())
        return false;
      bytes += static_cast<char>(found - table.begin());
    }
    position += step.length;
  }
  return true;
}

StatusOr<BytePairMerger> BytePairMerger::create(const std::vector<std::string_view> &tokens,
                                                const std::vector<std::string_view> &merges) {
  BytePairMerger merger;
  merger.numTokens_ = static_cast<uint32_t>(tokens.size());
  std::unordered_map<std::string_view, uint32_t> symbols;
  symbols.reserve(tokens.size() * 2);
  for (uint32_t i = 0; i < merger.numTokens_; ++i)
    symbols[tokens[i]] = i;
  std::deque<std::string> extraTexts; // Keeps the keys of symbols that are not tokens.
  auto symbolOf = [&](std::string_view text) {
    auto found = symbols.find(text);
    if (found != symbols.end())
      return found->second;
    uint32_t symbol = merger.numTokens_ + static_cast<uint32_t>(extraTexts.size());
    symbols.emplace(extraTexts.emplace_back(text), symbol);
    return symbol;
  };
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string text;
    appendUTF8(text, toPrintable(static_cast<uint8_t>(byte)));
    merger.byteSymbols_[byte] = symbolOf(text);
  }
  merger.merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    size_t space = merges[rank].find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merges[rank].size())
      return dataLoss("merge " + std::to_string(rank) +
                      ": expected two parts with a space between them, but got " +
                      std::to_string(merges[rank].size()) + " bytes without one");
    std::string_view left = merges[rank].substr(0, space), right = merges[rank].substr(space + 1);
    uint32_t result = symbolOf(std::string(left).append(right));
    merger.merges_.emplace(keyOf(symbolOf(left), symbolOf(right)),
                           Merge{static_cast<uint32_t>(rank), result});
  }
  return merger;
}

/// A stretch of the piece, in a list in the order of the text; dead when merged into its left one.
struct BytePairMerger::Symbol {
  uint32_t id;
  bool isAlive;
  size_t start, end;
  size_t previous, next; // Indices; npos at the ends.
};

/// A pair that a merge applies to, as it was when proposed.
struct BytePairMerger::Candidate {
  uint32_t rank, result;
  size_t left, right;
  uint32_t leftId, rightId;

  /// Heap order: the lowest rank on top, then the leftmost.
  bool operator<(const Candidate &other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

struct BytePairMerger::Work {
  static constexpr size_t npos = ~size_t(0);
  std::vector<Symbol> symbols;
};

void BytePairMerger::propose(const Work &work, size_t left,
                             std::vector<Candidate> &candidates) const {
  if (left == Work::npos || work.symbols[left].next == Work::npos)
    return;
  size_t right = work.symbols[left].next;
  uint32_t leftId = work.symbols[left].id, rightId = work.symbols[right].id;
  auto found = merges_.find(keyOf(leftId, rightId));
  if (found == merges_.end())
    return;
  candidates.push_back({found->second.rank, found->second.result, left, right, leftId, rightId});
  std::push_heap(candidates.begin(), candidates.end());
}

void BytePairMerger::emit(std::string_view bytes, uint32_t symbol,
                          std::vector<int32_t> &ids) const {
  if (symbol < numTokens_) {
    ids.push_back(static_cast<int32_t>(symbol));
    return;
  }
  for (char byte : bytes)
    if (uint32_t token = byteSymbols_[static_cast<uint8_t>(byte)]; token < numTokens_)
      ids.push_back(static_cast<int32_t>(token));
}

void BytePairMerger::merge(std::string_view piece, std::vector<int32_t> &ids) const {
  Work work;
  work.symbols.reserve(piece.size());
  for (size_t i = 0; i < piece.size(); ++i)
    work.symbols.push_back({byteSymbols_[static_cast<uint8_t>(piece[i])], true, i, i + 1,
                            i == 0 ? Work::npos : i - 1,
                            i + 1 == piece.size() ? Work::npos : i + 1});
  std::vector<Candidate> candidates;
  candidates.reserve(piece.size());
  for (size_t i = 0; i < piece.size(); ++i)
    propose(work, i, candidates);
  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end());
    Candidate best = candidates.back();
    candidates.pop_back();
    Symbol &left = work.symbols[best.left];
    Symbol &right = work.symbols[best.right];
    // An earlier merge may have changed either side; its new pairs were proposed then.
    if (!left.isAlive || !right.isAlive || left.next != best.right || left.id != best.leftId ||
        right.id != best.rightId)
      continue;
    left.id = best.result;
    left.end = right.end;
    left.next = right.next;
    right.isAlive = false;
    if (left.next != Work::npos)
      work.symbols[left.next].previous = best.left;
    propose(work, left.previous, candidates);
    propose(work, best.left, candidates);
  }
  for (size_t i = piece.empty() ? Work::npos : 0; i != Work::npos; i = work.symbols[i].next)
    emit(piece.substr(work.symbols[i].start, work.symbols[i].end - work.symbols[i].start),
         work.symbols[i].id, ids);
}

} // namespace llmir
