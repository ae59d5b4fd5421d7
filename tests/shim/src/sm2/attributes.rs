//! What SM2 keys say of themselves, and how they are found by it.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::*;

use crate::sm2::{CURVE, Numbers, asked_of, ok, under_way};

/// The object's class, where it has one that can be read.
pub fn class(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<CK_OBJECT_CLASS> {
    number(&read(session, object, CKA_CLASS)?)
}

/// Whether it is a key on the curve.
pub fn is_sm2(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> bool {
    let key_type = read(session, object, CKA_KEY_TYPE);
    key_type.and_then(|key_type| number(&key_type)) == Some(CKK_EC)
        && read(session, object, CKA_EC_PARAMS).is_some_and(|curve| curve == CURVE)
}

/// An attribute as the real module has it.
pub fn read(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    type_: CK_ATTRIBUTE_TYPE,
) -> Option<Vec<u8>> {
    let (_, get) = asked_of(|list| list.C_GetAttributeValue).ok()?;
    read_by(get, session, object, type_)
}

type Get =
    unsafe extern "C" fn(CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_ATTRIBUTE_PTR, CK_ULONG) -> CK_RV;

fn read_by(
    get: Get,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    type_: CK_ATTRIBUTE_TYPE,
) -> Option<Vec<u8>> {
    let mut attribute = CK_ATTRIBUTE {
        type_,
        pValue: ptr::null_mut(),
        ulValueLen: 0,
    };
    // SAFETY: one attribute, without a place for its value.
    ok(unsafe { get(session, object, &raw mut attribute, 1) }).ok()?;
    let mut value = vec![0; attribute.ulValueLen as usize];
    attribute.pValue = value.as_mut_ptr().cast();
    // SAFETY: one attribute, with a place of that length.
    ok(unsafe { get(session, object, &raw mut attribute, 1) }).ok()?;
    value.truncate(attribute.ulValueLen as usize);
    Some(value)
}

/// What a vendor's token says in the real module's stead.
enum Said {
    Value(Vec<u8>),
    Nothing,
}

/// None where the real module's word is good.
fn said(
    sm2: &Numbers,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    type_: CK_ATTRIBUTE_TYPE,
) -> Option<Said> {
    let is_private = class(session, object) == Some(CKO_PRIVATE_KEY);
    let value = match type_ {
        CKA_KEY_TYPE => sm2.key_type.to_ne_bytes().to_vec(),
        CKA_KEY_GEN_MECHANISM => sm2.key_gen.to_ne_bytes().to_vec(),
        CKA_ALLOWED_MECHANISMS => {
            let allowed = numbers(&read(session, object, type_)?)?;
            let ours = |number| {
                if number == CKM_ECDSA {
                    sm2.sign
                } else {
                    number
                }
            };
            allowed
                .into_iter()
                .flat_map(|number| ours(number).to_ne_bytes())
                .collect()
        }
        CKA_SENSITIVE | CKA_ALWAYS_SENSITIVE | CKA_NEVER_EXTRACTABLE if is_private => {
            vec![CK_TRUE]
        }
        CKA_EXTRACTABLE if is_private => vec![CK_FALSE],
        CKA_VALUE if is_private => return Some(Said::Nothing),
        _ => return None,
    };
    Some(Said::Value(value))
}

/// What [`said`] may answer otherwise than the real module, and a template may ask for.
const OURS: [CK_ATTRIBUTE_TYPE; 7] = [
    CKA_KEY_TYPE,
    CKA_KEY_GEN_MECHANISM,
    CKA_ALLOWED_MECHANISMS,
    CKA_SENSITIVE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_EXTRACTABLE,
];

pub unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let (sm2, get) = asked_of(|list| list.C_GetAttributeValue)?;
        if template.is_null() || !is_sm2(session, object) {
            // SAFETY: the caller's arguments.
            return Ok(unsafe { get(session, object, template, count) });
        }
        // SAFETY: the caller's.
        let asked = unsafe { std::slice::from_raw_parts_mut(template, count as usize) };
        let ours: Vec<_> = asked
            .iter()
            .map(|attribute| said(&sm2, session, object, attribute.type_))
            .collect();
        let real = asked.iter().zip(&ours).filter(|(_, ours)| ours.is_none());
        let mut real: Vec<CK_ATTRIBUTE> = real.map(|(attribute, _)| *attribute).collect();
        let mut answer = CKR_OK;
        if !real.is_empty() {
            let count = real.len() as CK_ULONG;
            // SAFETY: the caller's places for values.
            answer = unsafe { get(session, object, real.as_mut_ptr(), count) };
        }
        // With these, every attribute that can be told was told.
        let is_whole = matches!(
            answer,
            CKR_OK | CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL
        );
        if !is_whole {
            return Ok(answer);
        }
        let mut real = real.into_iter();
        for (attribute, ours) in asked.iter_mut().zip(ours) {
            let fault = match ours {
                None => {
                    let told = real.next().map(|told| told.ulValueLen);
                    attribute.ulValueLen = told.unwrap_or(CK_UNAVAILABLE_INFORMATION);
                    None
                }
                Some(Said::Nothing) => {
                    attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
                    Some(CKR_ATTRIBUTE_SENSITIVE)
                }
                // SAFETY: the caller's place, of the length it says.
                Some(Said::Value(value)) => unsafe { tell(attribute, &value) }.err(),
            };
            answer = fault.unwrap_or(answer);
        }
        Ok(answer)
    };
    asked().unwrap_or_else(|answer| answer)
}

/// The rule of PKCS#11 v2.40 C_GetAttributeValue, its points 3 to 5.
unsafe fn tell(attribute: &mut CK_ATTRIBUTE, value: &[u8]) -> Result<(), CK_RV> {
    let room = attribute.ulValueLen as usize;
    if !attribute.pValue.is_null() {
        if room < value.len() {
            attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return Err(CKR_BUFFER_TOO_SMALL);
        }
        let to = attribute.pValue.cast::<u8>();
        // SAFETY: there is room.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), to, value.len()) };
    }
    attribute.ulValueLen = value.len() as CK_ULONG;
    Ok(())
}

/// What the real module knows otherwise is asked of each object that fits the rest.
pub unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (_, init) = asked_of(|list| list.C_FindObjectsInit)?;
        let (_, find) = asked_of(|list| list.C_FindObjects)?;
        // SAFETY: the caller's.
        let asked = unsafe { slice(template, count) }.iter().copied();
        let (ours, mut real): (Vec<_>, Vec<_>) =
            asked.partition(|attribute| OURS.contains(&attribute.type_));
        let count = real.len() as CK_ULONG;
        // SAFETY: the caller's attributes.
        ok(unsafe { init(session, real.as_mut_ptr(), count) })?;
        under_way().found.remove(&session);
        if ours.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        loop {
            let (mut objects, mut count) = ([0; 64], 0);
            // SAFETY: room for that many.
            ok(unsafe { find(session, objects.as_mut_ptr(), 64, &raw mut count) })?;
            if count == 0 {
                break;
            }
            found.extend(objects.into_iter().take(count as usize));
        }
        found.retain(|object| {
            ours.iter().all(|attribute| {
                let told = read_by(C_GetAttributeValue, session, *object, attribute.type_);
                // SAFETY: the caller's, of the length it says.
                told.is_some_and(|told| told == unsafe { value(attribute) })
            })
        });
        found.reverse();
        under_way().found.insert(session, found);
        Ok(())
    };
    asked().err().unwrap_or(CKR_OK)
}

pub unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: CK_OBJECT_HANDLE_PTR,
    max: CK_ULONG,
    count: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (_, find) = asked_of(|list| list.C_FindObjects)?;
        // Where the search is ours the real module's is at its end, and finds nothing more.
        // SAFETY: the caller's arguments.
        ok(unsafe { find(session, objects, max, count) })?;
        let mut under_way = under_way();
        let Some(found) = under_way.found.get_mut(&session) else {
            return Ok(());
        };
        let fetched = found.len().min(max as usize);
        for at in 0..fetched {
            if let Some(object) = found.pop() {
                // SAFETY: the caller has room for `max`.
                unsafe { *objects.add(at) = object };
            }
        }
        // SAFETY: the module has just written it.
        unsafe { *count = fetched as CK_ULONG };
        Ok(())
    };
    asked().err().unwrap_or(CKR_OK)
}

/// A template.
pub unsafe fn slice<'a>(template: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> &'a [CK_ATTRIBUTE] {
    if template.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller's.
    unsafe { std::slice::from_raw_parts(template, count as usize) }
}

/// An attribute's value.
pub unsafe fn value(attribute: &CK_ATTRIBUTE) -> &[u8] {
    let value: *const c_void = attribute.pValue;
    if value.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller's.
    unsafe { std::slice::from_raw_parts(value.cast(), attribute.ulValueLen as usize) }
}

/// A number, as PKCS#11 has it.
pub fn number(value: &[u8]) -> Option<CK_ULONG> {
    Some(CK_ULONG::from_ne_bytes(value.try_into().ok()?))
}

/// Numbers one after another.
pub fn numbers(value: &[u8]) -> Option<Vec<CK_ULONG>> {
    value.chunks(size_of::<CK_ULONG>()).map(number).collect()
}

/// Yes or no.
pub fn flag(value: &[u8]) -> Option<bool> {
    match value {
        [CK_FALSE] => Some(false),
        [CK_TRUE] => Some(true),
        _ => None,
    }
}
