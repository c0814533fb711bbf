/**
 * Proto3 JSON of any message, from the descriptors: what etcd's gateway reads and writes. Reading and writing are each other's inverse, but for
 * fields that this program does not know. Made for requests of people and scripts, not for the hot path.
 */
export { messageFromJson } from './from-json.ts';
export { JsonError } from './json-error.ts';
export { type JsonNode, jsonValueEnd, parseWholeJson } from './parse-json.ts';
export { messageToJson } from './to-json.ts';
