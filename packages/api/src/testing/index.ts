/** For tests of this package and of those that carry its messages: messages with random content. */
export { randomMessage } from './random-message.ts';
