/**
 * Turns the changed nodes of a tree into pages, from the leaves up: what bbolt calls spilling. A node that is too large for
 * a page is split, each page filled to the bucket's fill percent.
 */
import { assert } from '@etcd/base';
import { ELEMENT_BYTES, MIN_KEYS_PER_PAGE, PAGE_HEADER_BYTES } from './format.ts';
import { usesItsPages } from './leaf-fill.ts';
import type { PageWriter } from './page-writer.ts';
import type { Steps } from './steps.ts';
import type { Tree } from './tree.ts';
import { KEY_BYTES, OFFSET, SOURCE, STRIDE, TAIL, type TreeNode, type Workspace } from './workspace.ts';

/** The count of a page has 16 bits, and its highest values mean other things elsewhere. */
const MAX_PAGE_ELEMENTS = 0xfffe;
/** A value of so many pages gets them for itself: the unused rest of the last one is little against it. */
const LARGE_ELEMENT_PAGES = 16;

/** Writes the pages of a tree; afterwards `tree.pgid` is its root page. Yields how many pages each step wrote. */
export function* spill(tree: Tree, writer: PageWriter): Steps {
  const root = tree.node;
  if (root === null) return;
  if (!root.isLeaf) yield* spillChildren(tree, writer, root);
  if (!root.changed) return;
  let level = root;
  for (;;) {
    const above = tree.workspace.newNode(false, MIN_KEYS_PER_PAGE * 2);
    yield writeNode(tree, writer, level, above);
    if (above.count === 1) {
      tree.pgid = tree.workspace.pool[above.start * STRIDE + TAIL]!;
      return;
    }
    level = above;
  }
}

/** Writes the changed children of a branch and puts the pages they made in their place. */
function* spillChildren(tree: Tree, writer: PageWriter, branch: TreeNode): Steps {
  const { workspace } = tree;
  const written = workspace.newNode(false, branch.count);
  for (let i = 0; i < branch.count; i++) {
    const child = tree.openedChild(branch, i);
    if (child !== null && !child.isLeaf) yield* spillChildren(tree, writer, child);
    if (child?.changed) {
      assert(child.count > 0, 'spill: an empty page below the root, whose separator would have no key');
      branch.changed = true;
      yield writeNode(tree, writer, child, written);
    } else {
      const at = (branch.start + i) * STRIDE;
      const { pool } = workspace;
      const pgid = child === null ? pool[at + TAIL]! : child.pgid;
      appendSeparator(
        workspace,
        written,
        pool[at + SOURCE]!,
        pool[at + OFFSET]!,
        pool[at + KEY_BYTES]!,
        pgid,
      );
    }
  }
  branch.start = written.start;
  branch.count = written.count;
  branch.capacity = written.capacity;
  branch.sizeBytes = written.sizeBytes;
}

/** Writes a node whose children are written, and the separators of its pages to `parent`; returns how many pages. */
function writeNode(tree: Tree, writer: PageWriter, node: TreeNode, parent: TreeNode): number {
  const { workspace } = tree;
  const pagesBefore = writer.pageCount;
  const { pageSizeBytes } = tree.pager;
  writer.freeNode(node);
  let from = 0;
  let size = PAGE_HEADER_BYTES;
  if (node.sizeBytes > pageSizeBytes || node.count > MAX_PAGE_ELEMENTS) {
    const threshold = pageSizeBytes * (node.fillPercent || tree.fillShare);
    for (let i = 0; i < node.count; i++) {
      const added = workspace.elementSize(node, i);
      const full =
        size + added > threshold &&
        endsPage(node.isLeaf, i - from, node.count - i, size, added, pageSizeBytes);
      if (full || i - from >= MAX_PAGE_ELEMENTS) {
        writePage(workspace, writer, node, from, i, size, parent);
        from = i;
        size = PAGE_HEADER_BYTES;
      }
      size += added;
    }
  } else {
    size = node.sizeBytes;
  }
  writePage(workspace, writer, node, from, node.count, size, parent);
  return writer.pageCount - pagesBefore;
}

/** How many pages of a leaf with elements of these sizes are made, filled to `fillShare`: what {@link spill} would do. */
export function leafPagesFor(sizes: Int32Array, fillShare: number, pageSizeBytes: number): number {
  const threshold = pageSizeBytes * fillShare;
  let total = PAGE_HEADER_BYTES;
  for (const size of sizes) total += size;
  if (total <= pageSizeBytes) return 1;
  let pages = 0;
  let from = 0;
  let size = PAGE_HEADER_BYTES;
  for (let i = 0; i < sizes.length; i++) {
    const added = sizes[i]!;
    if (size + added > threshold && endsPage(true, i - from, sizes.length - i, size, added, pageSizeBytes)) {
      pages += Math.ceil(size / pageSizeBytes);
      from = i;
      size = PAGE_HEADER_BYTES;
    }
    size += added;
  }
  return pages + Math.ceil(size / pageSizeBytes);
}

/** Whether a page of `count` elements that is full ends before the next element, with `rest` elements to come. */
function endsPage(
  isLeaf: boolean,
  count: number,
  rest: number,
  sizeBytes: number,
  nextBytes: number,
  pageSizeBytes: number,
): boolean {
  // A branch with a single child is damage in the eyes of bbolt.
  if (!isLeaf) return count >= MIN_KEYS_PER_PAGE && rest >= MIN_KEYS_PER_PAGE;
  if (count >= MIN_KEYS_PER_PAGE) return usesItsPages(sizeBytes, pageSizeBytes);
  const large = LARGE_ELEMENT_PAGES * pageSizeBytes;
  return count === 1 && (sizeBytes > large || nextBytes > large);
}

function writePage(
  workspace: Workspace,
  writer: PageWriter,
  node: TreeNode,
  from: number,
  to: number,
  sizeBytes: number,
  parent: TreeNode,
): void {
  const pgid = writer.writeElements(workspace, node, from, to, sizeBytes);
  const { pool } = workspace;
  const at = (node.start + from) * STRIDE;
  // An empty root has no key, and nobody looks at the separator of an only page.
  if (to === from) appendSeparator(workspace, parent, 0, 0, 0, pgid);
  else
    appendSeparator(workspace, parent, pool[at + SOURCE]!, pool[at + OFFSET]!, pool[at + KEY_BYTES]!, pgid);
}

function appendSeparator(
  workspace: Workspace,
  parent: TreeNode,
  source: number,
  offset: number,
  keyBytes: number,
  pgid: number,
): void {
  workspace.insertGap(parent, parent.count, 1);
  workspace.setElement(parent, parent.count - 1, source, offset, keyBytes, pgid);
  parent.sizeBytes += ELEMENT_BYTES + keyBytes;
}
