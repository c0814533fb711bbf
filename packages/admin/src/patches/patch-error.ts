/** A patch that can't be read or applied; the message is for its author, in kubeadm's words. */
export class PatchError extends Error {
  override readonly name = 'PatchError';
}
