//! A stand-in for a warehouse. Deliveries may come any minute, so being out of stock is worth a few more tries.

use backstitch::Error;

/// Sets goods aside; gives their shelf. Fails with `OutOfStock`.
pub(crate) async fn reserve(sku: &str) -> Result<u32, Error> {
    match sku {
        "lamp" => Ok(4),
        _ => Err(Error::new("OutOfStock", format!("there is no {sku} left"))),
    }
}

/// Puts back what was set aside.
pub(crate) async fn release(shelf: u32) -> Result<(), Error> {
    println!("what was on shelf {shelf} is back in stock");
    Ok(())
}

/// Hands goods to the carrier; gives the parcel's number.
pub(crate) async fn ship(sku: &str, shelf: u32) -> Result<String, Error> {
    Ok(format!("1Z-{shelf}-{sku}"))
}
