/**
 * The numbers of etcd that look alike and must not be mixed up: what is one kind of them does not compile as another. They are plain
 * numbers all the same, at run time and for whoever has one: literals and results of arithmetic go in without a word, so
 * the types cost nothing, and say something where a number travels from a message to where it is used.
 */
declare const kind: unique symbol;

type NumberOf<Base, Kind extends string> = Base & { readonly [kind]?: Kind };

/** Of a member of a cluster; what raft calls a node. */
export type MemberId = NumberOf<bigint, 'member id'>;
export type ClusterId = NumberOf<bigint, 'cluster id'>;
/** 0n: none. */
export type LeaseId = NumberOf<bigint, 'lease id'>;
/** Of the key-value store: the main part. */
export type Revision = NumberOf<number, 'revision'>;
/** Of users, roles and their permissions, which are counted apart. */
export type AuthRevision = NumberOf<number, 'auth revision'>;
/** Place of an entry in raft's log; the first is 1. */
export type LogIndex = NumberOf<number, 'log index'>;
/** Of raft. */
export type Term = NumberOf<number, 'term'>;
