/**
 * Why an input had no effect. Expected conditions, so they are values: the functions that take input return one of
 * these codes, or null when the input was taken.
 */
export const StepError = {
  /** The proposal was not taken; it may be proposed again, here or elsewhere. */
  ProposalDropped: 'ERR_RAFT_PROPOSAL_DROPPED',
  /** A message of a kind that only the member itself may produce came from the network. */
  LocalMessage: 'ERR_RAFT_STEP_LOCAL_MSG',
  /** A response from somebody who is no member, as far as is known here. */
  PeerNotFound: 'ERR_RAFT_STEP_PEER_NOT_FOUND',
  /** A message that no correct member sends. */
  InvalidMessage: 'ERR_RAFT_STEP_INVALID_MSG',
} as const;
export type StepError = (typeof StepError)[keyof typeof StepError];

const TEXTS: Readonly<Record<StepError, string>> = {
  [StepError.ProposalDropped]: 'raft proposal dropped',
  [StepError.LocalMessage]: 'raft: cannot step raft local message',
  [StepError.PeerNotFound]: 'raft: cannot step as peer not found',
  [StepError.InvalidMessage]: 'raft: cannot step invalid message',
};

export function stepErrorText(error: StepError): string {
  return TEXTS[error];
}
