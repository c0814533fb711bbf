/** The server package. */
export {};
