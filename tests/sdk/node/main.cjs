// Throws what its argument names and lets Node print it; with the SDK loaded before (sdk.cjs) the SDK catches it.
require('./cases.cjs')[process.argv[2]]();
