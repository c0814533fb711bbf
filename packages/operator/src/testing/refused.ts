/** Thrown for a call that the API server, or a member, refuses. */
export class Refused extends Error {}
