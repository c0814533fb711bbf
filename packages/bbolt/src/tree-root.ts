/** Where the tree of one bucket begins: what a cursor needs to walk it, in read and in write transactions. */
import type { PageBuffer } from './page-buffer.ts';
import type { Pager } from './pager.ts';
import type { TreeNode, Workspace } from './workspace.ts';

export class TreeRoot {
  readonly pager: Pager;
  /** In a write transaction, the changes so far. */
  readonly workspace: Workspace | null;
  /** The root page; 0 for an inline bucket. */
  pgid: number;
  /** Where the page of an inline bucket lies. */
  readonly inlineBuffer: PageBuffer | null;
  readonly inlineBase: number;
  /** The root as it is being changed; its page no longer counts. */
  node: TreeNode | null = null;
  /** Counts changes, so that cursors notice. */
  version = 0;

  constructor(
    pager: Pager,
    workspace: Workspace | null,
    pgid: number,
    inline: PageBuffer | null,
    base: number,
  ) {
    this.pager = pager;
    this.workspace = workspace;
    this.pgid = pgid;
    this.inlineBuffer = inline;
    this.inlineBase = base;
  }
}
