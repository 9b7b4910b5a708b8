//! What Lambda runs: the program is called `bootstrap` there. One thread is what a small function has.

use example_aws_lambda::app;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), backstitch::LambdaError> {
    app().lambda().await
}
