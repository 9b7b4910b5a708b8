/** A payload as an attacker would send it, for everything that shows payloads. */
export const HOSTILE = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
