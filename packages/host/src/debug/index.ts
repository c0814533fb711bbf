/** Pages by which a running program is looked into: {@link DebugPages} answers what is asked under `/debug/`, whoever carries the questions. */
export { type DebugAnswer, DebugPages, type DebugQuestion, type LogLevelControl } from './debug-pages.ts';
