/** What test databases are sealed with. */
export const TEST_ROOT_KEY = Buffer.alloc(32, 'kairos').toString('base64');
