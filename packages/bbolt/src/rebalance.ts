/**
 * Before pages are built: nodes that lost elements are merged with their neighbours. As in bbolt a node below half of the
 * fill (a quarter of a page, usually) is merged even when its neighbour must be read for it; beyond that, neighbours that
 * are written anyway are merged whenever they fit into one page. A merge never makes more than fits one page, except where
 * a branch would be left with a single child, which bbolt takes for damage.
 */
import { ELEMENT_BYTES, MIN_KEYS_PER_PAGE, PAGE_HEADER_BYTES } from './format.ts';
import type { PageWriter } from './page-writer.ts';
import type { Steps } from './steps.ts';
import type { Tree } from './tree.ts';
import { KEY_BYTES, STRIDE, type TreeNode } from './workspace.ts';

/** Merged nodes fill a page at most to this share, so that the next keys find room. */
const MERGED_FILL_SHARE = 0.9;

/** Merges what should be merged. Yields how many nodes each step looked at. */
export function* rebalance(tree: Tree, writer: PageWriter): Steps {
  if (tree.node === null) return;
  if (!tree.node.isLeaf) yield* rebalanceBranch(tree, writer, tree.node);
  // A root with one child gives way to it.
  while (!tree.node.isLeaf && tree.node.count <= 1) {
    const root: TreeNode = tree.node;
    writer.freeNode(root);
    tree.node = root.count === 1 ? tree.openChild(root, 0) : tree.workspace.newNode(true, 0);
    tree.pgid = tree.node.pgid;
  }
}

function* rebalanceBranch(tree: Tree, writer: PageWriter, branch: TreeNode): Steps {
  for (let i = 0; i < branch.count; i++) {
    const child = tree.openedChild(branch, i);
    if (child !== null && !child.isLeaf) yield* rebalanceBranch(tree, writer, child);
  }
  const { count } = branch;
  mergeChildren(tree, writer, branch);
  yield count;
}

function mergeChildren(tree: Tree, writer: PageWriter, branch: TreeNode): void {
  let index = 0;
  while (index < branch.count) {
    const child = tree.openedChild(branch, index);
    if (child !== null && child.count === 0) {
      writer.freeNode(child);
      unlinkChild(tree, branch, index);
    } else if (child === null || !child.shrunk) {
      index++;
    } else {
      // The merged child, if any, is looked at again: more may fit.
      const merged = mergeChild(tree, writer, branch, index, child);
      index = merged ?? index + 1;
    }
  }
}

/** Merges a child with a neighbour if it should be; returns the index of the result, or null. */
function mergeChild(
  tree: Tree,
  writer: PageWriter,
  branch: TreeNode,
  index: number,
  child: TreeNode,
): number | null {
  const isSmall = child.sizeBytes <= (tree.pager.pageSizeBytes * tree.fillShare) / 2;
  const isLonely = !child.isLeaf && child.count < MIN_KEYS_PER_PAGE;
  for (const left of [index - 1, index]) {
    if (left < 0 || left + 1 >= branch.count) continue;
    const neighbourIndex = left === index ? index + 1 : left;
    let neighbour = tree.openedChild(branch, neighbourIndex);
    if (neighbour === null || !neighbour.changed) {
      if (!isSmall && !isLonely) continue;
      neighbour ??= tree.openChild(branch, neighbourIndex);
    }
    if (!fitTogether(tree, child, neighbour)) continue;
    merge(tree, writer, branch, left);
    return left;
  }
  if (!isLonely || branch.count < 2) return null;
  const left = Math.max(0, index - 1);
  merge(tree, writer, branch, left);
  return left;
}

function fitTogether(tree: Tree, a: TreeNode, b: TreeNode): boolean {
  if (a.isLeaf !== b.isLeaf) return false;
  return a.sizeBytes + b.sizeBytes - PAGE_HEADER_BYTES <= tree.pager.pageSizeBytes * MERGED_FILL_SHARE;
}

/** Moves the elements of the child at `index + 1` behind those of the child at `index`. */
export function merge(tree: Tree, writer: PageWriter, branch: TreeNode, index: number): void {
  const left = tree.openChild(branch, index);
  const right = tree.openChild(branch, index + 1);
  if (left.isLeaf !== right.isLeaf)
    throw tree.pager.corrupt(right.pgid, 'a leaf and a branch are neighbours');
  tree.workspace.moveElements(right, 0, right.count, left);
  left.shrunk = true;
  writer.freeNode(right);
  unlinkChild(tree, branch, index + 1);
  // A child that had no neighbours before may have some now.
  if (!left.isLeaf) mergeChildren(tree, writer, left);
}

function unlinkChild(tree: Tree, branch: TreeNode, index: number): void {
  const { workspace } = tree;
  branch.sizeBytes -= ELEMENT_BYTES + workspace.pool[(branch.start + index) * STRIDE + KEY_BYTES]!;
  workspace.removeElements(branch, index, 1);
  branch.changed = true;
  branch.shrunk = true;
}
