// Loaded before the program: what Sentry's SDK makes of the uncaught error, on stdout.
const Sentry = require('@sentry/node');

const transport = () => ({
  send(envelope) {
    for (const [head, event] of envelope[1]) {
      if (head.type === 'event') {
        console.log(JSON.stringify({ platform: event.platform, exception: event.exception }));
      }
    }
    return Promise.resolve({});
  },
  flush: () => Promise.resolve(true),
});
Sentry.init({ dsn: 'http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1', transport, skipOpenTelemetrySetup: true });
process.setUncaughtExceptionCaptureCallback((error) => {
  Sentry.captureException(error);
  Sentry.flush(2000).then(() => process.exit(0));
});
