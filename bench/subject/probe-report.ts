/** What the probe in a server (`probe.ts`) has seen. */

/** A CPU profile, as V8 gives it. */
export interface Profile {
  readonly nodes: readonly ProfileNode[];
  /** Ids of nodes, and how many microseconds passed before each. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface ProfileNode {
  readonly id: number;
  /** Ids of what it called. */
  readonly children?: readonly number[];
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    /** Counted from 0, as is the column. */
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
}

/** What the event loop did between one look and the next. */
export interface Turns {
  readonly count: number;
  /** Of those that had no collection of garbage in them. */
  readonly longestMs: number;
}

export interface ProbeReport {
  readonly profile: Profile;
  readonly collections: {
    readonly minor: number;
    readonly minorMs: number;
    readonly major: number;
    readonly majorMs: number;
    /** Steps of marking, and what runs for weak references. */
    readonly otherMs: number;
  };
  /** Null unless turns were looked at. */
  readonly turns: Turns | null;
  /** Memory outside the V8 heap that was asked for meanwhile; what was given back within a moment is missing. */
  readonly allocatedBytes: number;
}
