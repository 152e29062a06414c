// drawTree: an icicle diagram: a box spans the rows of all prefixes that go through it.

#include "CacheDumpTreeSvg.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace llmir {

namespace {

constexpr size_t maxRows = 48;
constexpr double rowHeight = 16;

/// A node's place in the drawing.
struct Place {
  int64_t depth = 0;
  size_t numChildren = 0; ///< Of those drawn.
  bool isDrawn = false;
  size_t firstRow = 0, endRow = 0;
};

class TreeDrawing {
public:
  TreeDrawing(SvgWriter &svg, const CacheDump &dump, double top, double width)
      : svg_(svg), nodes_(dump.tree), top_(top), width_(width), places_(dump.tree.size()),
        children_(dump.tree.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].parent) {
        auto parent = static_cast<size_t>(*nodes_[i].parent);
        places_[i].depth = places_[parent].depth + 1;
        children_[parent].push_back(i);
      }
      lastUse_ = std::max(lastUse_, nodes_[i].lastUse);
    }
  }

  double draw() {
    chooseLeaves();
    placeRows();
    int64_t depths = 1;
    for (const Place &place : places_)
      if (place.isDrawn)
        depths = std::max(depths, place.depth + 1);
    unit_ = std::min(24.0, width_ / static_cast<double>(depths));
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (places_[i].isDrawn && !continuesParent(i))
        drawChain(i);
    double bottom = top_ + static_cast<double>(numRows_) * rowHeight;
    if (numHidden_ > 0) {
      bottom += 16;
      svg_.text(20, bottom, "and " + std::to_string(numHidden_) + " prefixes used less recently");
    }
    return bottom;
  }

private:
  void chooseLeaves() {
    std::vector<size_t> leaves;
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (children_[i].empty())
        leaves.push_back(i);
    std::sort(leaves.begin(), leaves.end(), [&](size_t a, size_t b) {
      return std::pair(nodes_[b].lastUse, a) < std::pair(nodes_[a].lastUse, b);
    });
    if (leaves.size() > maxRows) {
      numHidden_ = leaves.size() - maxRows;
      leaves.resize(maxRows);
    }
    for (size_t leaf : leaves)
      for (std::optional<int64_t> at = static_cast<int64_t>(leaf); at;) {
        auto index = static_cast<size_t>(*at);
        if (places_[index].isDrawn)
          break;
        places_[index].isDrawn = true;
        at = nodes_[index].parent;
      }
  }

  /// Rows in the order of the nodes, which has children behind their parents, depth first.
  void placeRows() {
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (places_[i].isDrawn && !nodes_[i].parent)
        placeBelow(i);
  }

  /// Depth first without recursion: a prefix may be thousands of blocks long.
  void placeBelow(size_t root) {
    std::vector<std::pair<size_t, size_t>> stack = {{root, 0}};
    places_[root].firstRow = numRows_;
    while (!stack.empty()) {
      auto &[node, next] = stack.back();
      while (next < children_[node].size() && !places_[children_[node][next]].isDrawn)
        ++next;
      if (next < children_[node].size()) {
        size_t child = children_[node][next++];
        ++places_[node].numChildren;
        places_[child].firstRow = numRows_;
        stack.emplace_back(child, 0);
        continue;
      }
      if (places_[node].numChildren == 0)
        ++numRows_;
      places_[node].endRow = numRows_;
      stack.pop_back();
    }
  }

  bool isLike(size_t a, size_t b) const {
    return nodes_[a].block.has_value() == nodes_[b].block.has_value() &&
           (nodes_[a].pins > 0) == (nodes_[b].pins > 0) &&
           nodes_[a].priority == nodes_[b].priority && nodes_[a].lastUse == nodes_[b].lastUse;
  }
  /// Whether a node is drawn in one box with its parent.
  bool continuesParent(size_t node) const {
    if (!nodes_[node].parent)
      return false;
    auto parent = static_cast<size_t>(*nodes_[node].parent);
    return places_[parent].numChildren == 1 && isLike(node, parent);
  }
  /// The child that continues a node's box.
  std::optional<size_t> continuation(size_t node) const {
    for (size_t child : children_[node])
      if (places_[child].isDrawn && continuesParent(child))
        return child;
    return std::nullopt;
  }

  /// The later used, the darker; grey on the disk tier.
  std::string colourOf(const CacheDump::TreeNode &node) const {
    if (!node.block)
      return "#d0d0d0";
    double age =
        lastUse_ == 0 ? 0 : 1 - static_cast<double>(node.lastUse) / static_cast<double>(lastUse_);
    char text[32];
    std::snprintf(text, sizeof text, "hsl(210,60%%,%d%%)", 60 + static_cast<int>(30 * age));
    return text;
  }

  void drawChain(size_t first) {
    int64_t blocks = 1, tokens = nodes_[first].tokens;
    for (std::optional<size_t> next = continuation(first); next; next = continuation(*next)) {
      ++blocks;
      tokens += nodes_[*next].tokens;
    }
    const CacheDump::TreeNode &node = nodes_[first];
    const Place &place = places_[first];
    SvgWriter::Box box{20 + static_cast<double>(place.depth) * unit_,
                       top_ + static_cast<double>(place.firstRow) * rowHeight,
                       static_cast<double>(blocks) * unit_,
                       static_cast<double>(place.endRow - place.firstRow) * rowHeight};
    std::string title = std::to_string(blocks) + (blocks == 1 ? " block, " : " blocks, ") +
                        std::to_string(tokens) + " tokens, first key " + node.key.substr(0, 16) +
                        ", priority " + std::to_string(node.priority) + ", last use " +
                        std::to_string(node.lastUse);
    if (node.pins > 0)
      title += ", pinned " + std::to_string(node.pins) + " times";
    if (!node.block)
      title += ", on disk";
    bool isPinned = node.pins > 0;
    svg_.rectangle(box, {colourOf(node), isPinned ? "#c00000" : "#ffffff", isPinned ? 2.0 : 1.0},
                   title);
    std::string label = std::to_string(blocks);
    if (box.width > 10 + 7 * static_cast<double>(label.size()))
      svg_.text(box.x + 4, box.y + 12, label, SvgWriter::Weight::Plain, 11);
  }

  SvgWriter &svg_;
  const std::vector<CacheDump::TreeNode> &nodes_;
  double top_, width_;
  std::vector<Place> places_;
  std::vector<std::vector<size_t>> children_;
  uint64_t lastUse_ = 0;
  double unit_ = 0;
  size_t numRows_ = 0, numHidden_ = 0;
};

} // namespace

double drawTree(SvgWriter &svg, const CacheDump &dump, double top, double width) {
  return TreeDrawing(svg, dump, top, width).draw();
}

} // namespace llmir
